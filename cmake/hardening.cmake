# What makes a fault in reading a stranger's file end the program rather than let somebody in
# (docs/security.md): checked copies, guarded stacks, addresses that nobody can foretell, tables of
# functions that cannot be written. The sanitized builds check more by themselves. A test reads all
# of it from the files that were built (tests/cli/hardening_test.py).
include(CheckCXXCompilerFlag)

if(KAPPASCOPE_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  # Also of what lies within a vector's capacity but past its end, which ASan does not see.
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  return()
endif()
set(host_code $<COMPILE_LANGUAGE:C,CXX>)
add_compile_options($<${host_code}:-U_FORTIFY_SOURCE> $<${host_code}:-D_FORTIFY_SOURCE=3>)
foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
  string(MAKE_C_IDENTIFIER "KAPPASCOPE_TAKES${flag}" taken)
  check_cxx_compiler_flag(${flag} ${taken})
  if(${taken})
    add_compile_options($<${host_code}:${flag}>)
  endif()
endforeach()
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
add_link_options(LINKER:-z,relro,-z,now,-z,noexecstack)
