#!/bin/sh
# nvcc; what it says of each kernel's registers, stack and spills is kept beside the object, in
# OBJECT.registers, where a test reads it (tests/gpu/registers_test.py).
for word; do
  if [ "$before" = -o ]; then object=$word; fi
  before=$word
done
"$@" -Xptxas -v >"$object.registers" 2>&1
status=$?
grep -v -e '^ptxas info' -e 'bytes stack frame' "$object.registers" >&2
exit "$status"
