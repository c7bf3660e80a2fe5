#include "core/checkpoint/pickle.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/unit/expect_error.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope {
namespace {

using testing::error_of;
using testing::number;
using testing::pickled::file;
namespace pickled = testing::pickled;
using Kind = PickleValue::Kind;
using namespace std::string_literals;

constexpr std::array<std::string_view, 2> kAllowed = {"collections OrderedDict", "mod name"};

Pickle parse(std::string_view bytes, std::uint64_t base_offset = 0) {
  return Pickle::parse(std::as_bytes(std::span(bytes)), kAllowed, "p.pkl", base_offset);
}

// What happens to a pickle of these opcodes, protocol and STOP added.
std::string said(const std::string& opcodes) {
  const std::string bytes = pickled::file(opcodes);
  return error_of([&] { parse(bytes); });
}

std::string refused(int offset, const std::string& what) {
  return "3 p.pkl: offset " + std::to_string(offset) + ": pickle: " + what;
}

std::int64_t integer_of(const std::string& opcodes) {
  const std::string bytes = pickled::file(opcodes);
  const Pickle pickle = parse(bytes);
  EXPECT_EQ(pickle.root().kind, Kind::integer);
  return pickle.root().integer;
}

TEST(Pickle, Integers) {
  EXPECT_EQ(integer_of("K\xff"), 255);
  EXPECT_EQ(integer_of("M\xff\xff"), 65535);
  EXPECT_EQ(integer_of("J\xfe\xff\xff\xff"), -2);
  EXPECT_EQ(integer_of("\x8a\0"s), 0);
  EXPECT_EQ(integer_of("\x8a\1\xff"), -1);
  EXPECT_EQ(integer_of("\x8a\3\0\0\x80"s), -8388608);
  EXPECT_EQ(integer_of("\x8a\x08" + number(INT64_MAX, 8)), INT64_MAX);
  EXPECT_EQ(integer_of("\x8b" + number(8, 4) + number(std::uint64_t{1} << 63, 8)), INT64_MIN);
  EXPECT_EQ(said("\x8a\x09" + std::string(9, 1)), refused(2, "an integer of more than 64 bits"));
  EXPECT_EQ(said("\x8b" + number(0xFFFFFFFF, 4)), refused(2, "an integer of more than 64 bits"));
}

TEST(Pickle, OtherConstantsAndTexts) {
  const std::string bytes = pickled::file(
      "(N\x88\x89G\xc0\x04\0\0\0\0\0\0"s + pickled::text("é") + "\x8c\1a" + "\x8d" + number(2, 8) +
          "bc" + "C\1\xff" + "B" + number(1, 4) + "\xfe" + "\x8e" + number(1, 8) + "\xfd" + "t",
      5);
  const Pickle pickle = parse(bytes, 1000);
  const auto item = [&](std::size_t i) { return pickle.at(pickle.root().items.at(i)); };
  ASSERT_EQ(pickle.root().kind, Kind::tuple);
  ASSERT_EQ(pickle.root().items.size(), 10U);
  EXPECT_EQ(item(0).kind, Kind::none);
  EXPECT_EQ(item(0).offset, 1003U);
  EXPECT_EQ(item(1).integer, 1);
  EXPECT_EQ(item(2).integer, 0);
  EXPECT_EQ(item(2).kind, Kind::boolean);
  EXPECT_EQ(item(3).real, -2.5);
  EXPECT_EQ(item(4).text, "é");
  EXPECT_EQ(item(5).text, "a");
  EXPECT_EQ(item(6).text, "bc");
  EXPECT_EQ(item(7).kind, Kind::bytes);
  EXPECT_EQ(item(7).text, "\xff");
  EXPECT_EQ(item(8).text, "\xfe");
  EXPECT_EQ(item(9).text, "\xfd");
  EXPECT_EQ(said("X" + number(1, 4) + "\xff"), refused(2, "text that is not valid UTF-8"));
}

TEST(Pickle, ContainersMemoAndCalls) {
  // {"a": [1, 1], "b": mod.name((2,)) with state None, "c": OrderedDict(), "d": persistent 3}
  const std::string bytes = pickled::file(
      "}q\0("s + pickled::text("a") + "](K\1q\1h\1e" + pickled::text("b") + "cmod\nname\nK\2\x85R" +
      "Nb" + pickled::text("c") + pickled::ordered_dict() + "}b" + pickled::text("d") + "K\3Qu");
  const Pickle pickle = parse(bytes);
  const auto at = [&](const PickleValue& value, std::size_t i) -> const PickleValue& {
    return pickle.at(value.items.at(i));
  };
  const PickleValue& root = pickle.root();
  ASSERT_EQ(root.kind, Kind::dict);
  ASSERT_EQ(root.items.size(), 8U);
  EXPECT_EQ(at(root, 0).text, "a");
  EXPECT_EQ(at(root, 1).items[0], at(root, 1).items[1]);
  const PickleValue& object = at(root, 3);
  EXPECT_EQ(object.kind, Kind::object);
  EXPECT_EQ(at(object, 0).text, "mod name");
  EXPECT_EQ(at(at(object, 1), 0).integer, 2);
  EXPECT_EQ(at(object, 2).kind, Kind::none);
  EXPECT_EQ(at(root, 5).kind, Kind::dict);
  EXPECT_TRUE(at(root, 5).items.empty());
  EXPECT_EQ(at(root, 7).kind, Kind::persistent);
  EXPECT_EQ(at(at(root, 7), 0).integer, 3);
}

TEST(Pickle, StackOpcodes) {
  EXPECT_EQ(integer_of("(K\1K\2"
                       "1K\3"),
            3);                       // POP_MARK
  EXPECT_EQ(integer_of("K\1(0"), 1);  // POP takes a bare mark
  EXPECT_EQ(integer_of("K\1K\2"
                       "0"),
            1);
  EXPECT_EQ(integer_of("K\1"
                       "20"),
            1);  // DUP, POP
  EXPECT_EQ(said("\x95" + number(2, 8) + "K\1"), "no error");
  EXPECT_EQ(said("\x95" + number(4, 8) + "K\1"), refused(2, "a frame is longer than the pickle"));
  EXPECT_EQ(said("]K\1a"), "no error");
  EXPECT_EQ(said("}K\1Ns"), "no error");
  EXPECT_EQ(said("K\1K\2K\3\x87"), "no error");
}

TEST(Pickle, RefusesGlobalsOutsideTheList) {
  EXPECT_EQ(said("cmod\nname\n"), "no error");
  EXPECT_EQ(said("cos\nsystem\n0N"), refused(2, "global 'os system' is not allowed"));
  EXPECT_EQ(said("cbuiltins\neval\n(X\1\0\0\0atR"s),
            refused(2, "global 'builtins eval' is not allowed"));
  EXPECT_EQ(said("\x8c\2os\x8c\6system\x93"), refused(14, "global 'os system' is not allowed"));
  EXPECT_EQ(said("cmod name\n\n"), refused(2, "global 'mod name ' is not allowed"));
  EXPECT_EQ(said("c\nmod name\n"), refused(2, "global ' mod name' is not allowed"));
  EXPECT_EQ(said("cmod\nname.__class__\n"),
            refused(2, "global 'mod name.__class__' is not allowed"));
  EXPECT_EQ(said("ca\x1b[2J\nb\n"), refused(2, "global 'a\\x1b[2J b' is not allowed"));
  EXPECT_EQ(said("K\1K\2\x93"), refused(6, "STACK_GLOBAL without two texts"));
  EXPECT_EQ(said("cos"), "3 p.pkl: offset 3: pickle: ends inside a name");
}

TEST(Pickle, RefusesOtherOpcodesByName) {
  EXPECT_EQ(said("(ios\nsystem\n"), refused(3, "opcode INST is not allowed"));
  EXPECT_EQ(said("(o"), refused(3, "opcode OBJ is not allowed"));
  EXPECT_EQ(said("cmod\nname\n)}\x92"), refused(14, "opcode NEWOBJ_EX is not allowed"));
  EXPECT_EQ(said("\x82\1"), refused(2, "opcode EXT1 is not allowed"));
  EXPECT_EQ(said("\x83\1\1"), refused(2, "opcode EXT2 is not allowed"));
  EXPECT_EQ(said("\x84\1\1\1\1"), refused(2, "opcode EXT4 is not allowed"));
  EXPECT_EQ(said("I1\n"), refused(2, "opcode INT is not allowed"));
  EXPECT_EQ(said("Pid\n"), refused(2, "opcode PERSID is not allowed"));
  EXPECT_EQ(said("\x97"), refused(2, "opcode NEXT_BUFFER is not allowed"));
  EXPECT_EQ(said("\x80\2N"), refused(2, "unknown opcode 128"));
  EXPECT_EQ(said("\xff"), refused(2, "unknown opcode 255"));
}

TEST(Pickle, RefusesBrokenStacks) {
  EXPECT_EQ(said(""), refused(2, "STOP with values left over; expected 1, found 0"));
  EXPECT_EQ(said("NN"), refused(4, "STOP with values left over; expected 1, found 2"));
  EXPECT_EQ(said("0"), refused(2, "stack underflow; expected 1 values, found 0"));
  EXPECT_EQ(said("K\1(\x85"), refused(5, "stack underflow; expected 1 values, found 0"));
  EXPECT_EQ(said("t"), refused(2, "no mark on the stack"));
  EXPECT_EQ(said("(u"), refused(3, "stack underflow; expected 1 values, found 0"));
  EXPECT_EQ(said("}(Nu"), refused(5, "a dict key without a value"));
  EXPECT_EQ(said("}]Ns"), refused(5, "a dict key must be a text, bytes or a number, found a list"));
  EXPECT_EQ(said("](Ns"), refused(5, "stack underflow; expected 2 values, found 1"));
  EXPECT_EQ(said("}Na"), refused(4, "expected a list, found a dict"));
  EXPECT_EQ(said("q\0"s), refused(2, "stack underflow; expected 1 values, found 0"));
  EXPECT_EQ(said("Nq\1"), refused(3, "the memo has a hole; expected index 0 at most, found 1"));
  EXPECT_EQ(said("Nr\xff\xff\xff\xff"),
            refused(3, "the memo has a hole; expected index 0 at most, found 4294967295"));
  EXPECT_EQ(said("h\5"), refused(2, "memo entry 5 was never set"));
  EXPECT_EQ(said("j\xff\xff\xff\xff"), refused(2, "memo entry 4294967295 was never set"));
}

TEST(Pickle, RefusesBrokenCalls) {
  EXPECT_EQ(said("N)R"), refused(4, "a call of None"));
  EXPECT_EQ(said("cmod\nname\nNR"), refused(13, "a call with None for arguments"));
  EXPECT_EQ(said("cmod\nname\n)R)R"), refused(15, "a call of an object"));
  EXPECT_EQ(said("cmod\nname\n)RNbNb"), refused(17, "state set twice on one object"));
  EXPECT_EQ(said("NNb"), refused(4, "state set on None"));
}

TEST(Pickle, RefusesCycles) {
  EXPECT_EQ(said("]q\0h\0a"s), refused(2, "a container holds itself"));
  EXPECT_EQ(said("]q\0(]h\0ae"s), refused(6, "a container holds itself"));
  EXPECT_EQ(said("}q\0K\1h\0s"s), refused(2, "a container holds itself"));
  EXPECT_EQ(said("cmod\nname\n)Rq\0h\0b"s), refused(13, "a container holds itself"));
  EXPECT_EQ(said("]q\0"
                 "0(h\0h\0t"s),
            "no error");  // shared twice is no cycle
}

TEST(Pickle, RefusesLengthsPastTheEnd) {
  for (const char* opcode : {"\x8d", "\x8e"}) {
    for (const std::uint64_t huge :
         {std::uint64_t{2}, std::uint64_t{1} << 31, (std::uint64_t{1} << 63) - 1,
          std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      EXPECT_EQ(said(opcode + number(huge, 8)),
                "3 p.pkl: offset 11: pickle: ends too early; "
                "expected " +
                    std::to_string(huge) + " bytes, found 1");
    }
  }
  EXPECT_NE(said("X\xff\xff\xff\xff"), "no error");
  EXPECT_NE(said("\x95\xff\xff\xff\xff\xff\xff\xff\xff"), "no error");
}

TEST(Pickle, ProtocolAndStop) {
  EXPECT_EQ(error_of([] { parse(""); }), refused(0, "ends without STOP"));
  EXPECT_EQ(error_of([] { parse("N."); }), "no error");  // protocol 0 or 1
  EXPECT_EQ(error_of([] { parse("cposix\nsystem\np0\n(Vtrue\np1\ntp2\nRp3\n."); }),
            refused(0, "global 'posix system' is not allowed"));
  EXPECT_EQ(error_of([] { parse("\x80\1N."); }),
            refused(0, "unknown protocol; expected 2 to 5, found 1"));
  EXPECT_EQ(error_of([] { parse("\x80\6N."); }),
            refused(0, "unknown protocol; expected 2 to 5, found 6"));
  EXPECT_EQ(error_of([] { parse("\x80\2N"); }), refused(3, "ends without STOP"));
  EXPECT_EQ(error_of([] { parse("\x80\2N.rest"); }), "no error");
}

TEST(Pickle, DeepNestingAndSharingStayFlat) {
  const std::size_t depth = 200000;
  std::string deep(depth, ']');
  deep += std::string(depth - 1, 'a');
  EXPECT_EQ(said(deep), "no error");
  EXPECT_EQ(said(std::string(depth, '(') + "N" + std::string(depth, 't')), "no error");
  std::string doubling = "]";  // 2⁶⁰ leaves if anyone unfolded it
  for (int i = 0; i < 60; ++i) { doubling += "2\x86"; }
  EXPECT_EQ(said(doubling), "no error");
}

TEST(Pickle, LimitsTheNumberOfValues) {
  const std::size_t limit = std::size_t{1} << 22;
  EXPECT_EQ(said("(" + std::string(limit, 'N') + "t"),
            refused(static_cast<int>(3 + limit), "more than 4194304 values"));
  EXPECT_EQ(said("N" + std::string(limit, '2')),
            refused(static_cast<int>(2 + limit), "more than 4194304 values on the stack"));
  EXPECT_EQ(said(std::string(limit + 1, '(')),
            refused(static_cast<int>(2 + limit), "more than 4194304 marks"));
}

TEST(Pickle, EveryPrefixAndEveryByteParsesOrFails) {
  const std::string good = pickled::file("}("s + pickled::text("a") + "](K\1q\0h\0e"s + "\x8c\1b" +
                                         "cmod\nname\nK\2\x85R}b" + "C\1x" +
                                         pickled::ordered_dict() + "K\7" + "\x8a\1\5Qu");
  ASSERT_EQ(error_of([&] { parse(good); }), "no error");
  for (std::size_t n = 0; n < good.size(); ++n) {
    const std::string prefix = good.substr(0, n);
    EXPECT_EQ(error_of([&] { parse(prefix); }).substr(0, 2), "3 ") << n;
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = good;
      changed[i] = static_cast<char>(value);
      error_of([&] { parse(changed); });  // anything but an Error would get through
    }
  }
}

TEST(Pickle, RandomOpcodesParseOrFail) {
  std::mt19937 random(20260601);
  const std::string opcodes = "()12CJKMNQRX]abcehqstu}\x81\x85\x86\x87\x88\x8a\x8c\x93\x94";
  for (int round = 0; round < 20000; ++round) {
    std::string body;
    for (int i = 0; i < 24; ++i) {
      body += opcodes[random() % opcodes.size()];
      if (random() % 4 == 0) { body += static_cast<char>(random() % 4); }
    }
    said(body);
  }
}

// --- parse_any ----------------------------------------------------------------------------------

std::string any_line(const std::string& opcodes) {
  const std::string bytes = file(opcodes, 4);
  return error_of([&] { Pickle::parse_any(std::as_bytes(std::span(bytes)), kAllowed, "p.pkl"); });
}

TEST(PickleAny, KeepsObjectsOfOtherClassesAsTheirNames) {
  const std::string bytes = file("cmy.module\nThing\n)R}b", 4);
  const Pickle pickle = Pickle::parse_any(std::as_bytes(std::span(bytes)), kAllowed, "p.pkl");
  EXPECT_EQ(pickle.root().kind, PickleValue::Kind::opaque);
  EXPECT_EQ(pickle.root().text, "my.module Thing");
  const std::string known = file("cmod\nname\n)R", 4);
  const Pickle object = Pickle::parse_any(std::as_bytes(std::span(known)), kAllowed, "p.pkl");
  EXPECT_EQ(object.root().kind, PickleValue::Kind::object);
}

TEST(PickleAny, TakesWhatPythonWritesForAnything) {
  const std::string thing = "cmy.module\nThing\n)\x81";
  for (const std::string& value :
       {thing + "(K\1K\2e", thing + "(K\1K\2u", thing + "}bNb", thing + ")R", thing + "K\1K\2s",
        std::string("\x8f(K\1\x90"), std::string("(K\1\x91"), thing + ")}\x92",
        "\x8a\x09" + std::string(9, 1), "\x96" + number(2, 8) + "ab", "X" + number(1, 4) + "\xff",
        std::string("U\1a"), std::string("})Ns"), std::string("]q\0h\0a", 6)}) {
    EXPECT_EQ(any_line(value), "no error") << value;
  }
}

TEST(PickleAny, RefusesProgramsAndBrokenPickles) {
  EXPECT_EQ(any_line("cos\nsystem\n").substr(0, 2), "3 ");
  EXPECT_EQ(any_line("csubprocess\nPopen\n").substr(0, 2), "3 ");
  EXPECT_EQ(any_line("c__builtin__\neval\n").substr(0, 2), "3 ");
  EXPECT_EQ(any_line("(ios\nsystem\n").substr(0, 2), "3 ");
  EXPECT_EQ(any_line("I1\n").substr(0, 2), "4 ");
  EXPECT_EQ(any_line("K\1)R").substr(0, 2), "3 ");
  EXPECT_EQ(any_line("K\1Na").substr(0, 2), "3 ");
  EXPECT_EQ(any_line("\x96" + number(1ULL << 63, 8)).substr(0, 2), "3 ");
  EXPECT_EQ(any_line("\x8b" + number(0xFFFFFFFF, 4)).substr(0, 2), "3 ");
  EXPECT_EQ(any_line("\x90").substr(0, 2), "3 ");
}

}  // namespace
}  // namespace kappascope
