// The opcodes of Python's pickles, protocols 2 to 5 (the names are those of pickle.py).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kappascope {

// Those the reader carries out.
enum PickleOpcode : std::uint8_t {
  op_mark = '(',
  op_empty_tuple = ')',
  op_stop = '.',
  op_pop = '0',
  op_pop_mark = '1',
  op_dup = '2',
  op_binbytes = 'B',
  op_short_binbytes = 'C',
  op_binfloat = 'G',
  op_binint = 'J',
  op_binint1 = 'K',
  op_binint2 = 'M',
  op_none = 'N',
  op_binpersid = 'Q',
  op_reduce = 'R',
  op_binunicode = 'X',
  op_empty_list = ']',
  op_append = 'a',
  op_build = 'b',
  op_global = 'c',
  op_appends = 'e',
  op_binget = 'h',
  op_long_binget = 'j',
  op_binput = 'q',
  op_long_binput = 'r',
  op_setitem = 's',
  op_tuple = 't',
  op_setitems = 'u',
  op_empty_dict = '}',
  op_proto = 0x80,
  op_newobj = 0x81,
  op_tuple1 = 0x85,
  op_tuple2 = 0x86,
  op_tuple3 = 0x87,
  op_newtrue = 0x88,
  op_newfalse = 0x89,
  op_long1 = 0x8a,
  op_long4 = 0x8b,
  op_short_binunicode = 0x8c,
  op_binunicode8 = 0x8d,
  op_binbytes8 = 0x8e,
  op_stack_global = 0x93,
  op_memoize = 0x94,
  op_frame = 0x95
};

// Those that Pickle::parse_any carries out, too.
enum ForeignOpcode : std::uint8_t {
  op_binstring = 'T',
  op_short_binstring = 'U',
  op_empty_set = 0x8f,
  op_additems = 0x90,
  op_frozenset = 0x91,
  op_newobj_ex = 0x92,
  op_bytearray8 = 0x96
};

// Those that are known and refused, but for the foreign ones by Pickle::parse only.
struct RefusedOpcode {
  std::uint8_t code;
  std::string_view name;
  bool old = false;  // what protocols 0 and 1 write for plain values
};
constexpr std::array kRefusedOpcodes = {
    RefusedOpcode{'F', "FLOAT", true},
    RefusedOpcode{'I', "INT", true},
    RefusedOpcode{'L', "LONG", true},
    RefusedOpcode{'P', "PERSID", true},
    RefusedOpcode{'S', "STRING", true},
    RefusedOpcode{'T', "BINSTRING"},
    RefusedOpcode{'U', "SHORT_BINSTRING"},
    RefusedOpcode{'V', "UNICODE", true},
    RefusedOpcode{'d', "DICT", true},
    RefusedOpcode{'g', "GET", true},
    RefusedOpcode{'i', "INST"},
    RefusedOpcode{'l', "LIST", true},
    RefusedOpcode{'o', "OBJ"},
    RefusedOpcode{'p', "PUT", true},
    RefusedOpcode{0x82, "EXT1"},
    RefusedOpcode{0x83, "EXT2"},
    RefusedOpcode{0x84, "EXT4"},
    RefusedOpcode{0x8f, "EMPTY_SET"},
    RefusedOpcode{0x90, "ADDITEMS"},
    RefusedOpcode{0x91, "FROZENSET"},
    RefusedOpcode{0x92, "NEWOBJ_EX"},
    RefusedOpcode{0x96, "BYTEARRAY8"},
    RefusedOpcode{0x97, "NEXT_BUFFER"},
    RefusedOpcode{0x98, "READONLY_BUFFER"},
};

}  // namespace kappascope
