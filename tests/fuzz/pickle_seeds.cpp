// Seeds of pickles: each opcode that is read, and what breaks one.
#include "tests/fuzz/more_seeds.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

std::string short_text(const std::string& text) {
  return "\x8c" + number(text.size(), 1) + text;
}

// Every opcode that is read; of the lenient reader only those of the second.
void write_pickles(const fs::path& folder, WriteSeed* write) {
  using namespace pickled;
  const std::string one = "K\1";
  const std::string texts = text("a") + short_text("b") + "\x8d" + number(1, 8) + "c";
  const std::string bytes = "B" + number(1, 4) + "d" + "C\1e" + "\x8e" + number(1, 8) + "f";
  const std::string numbers = "NM\1\2J\xff\xff\xff\xff\x88\x89\x8a" + std::string("\0", 1) +
                              "\x8b" + number(2, 4) + "\xfe\xff" + "G\x3f\xf8" +
                              std::string(6, '\0');
  const std::string memo = "}q" + std::string("\0", 1) + "h" + std::string("\0", 1) + "0r" +
                           number(1, 4) + "j" + number(1, 4) + "0\x94" + "0";
  const std::string tuples = ")" + one + "\x85" + one + one + "\x86" + one + one + one + "\x87";
  const std::string lists = "]" + one + "a(" + one + one + "e";
  const std::string rest = "(K\2" + one + "1" + one + "20" + "0";
  const std::string global = short_text("torch") + short_text("FloatStorage") + "\x93";
  const std::string object =
      pickled::global("torch._utils", "_rebuild_tensor_v2") + tuple({one}) + "R" + one + "b";
  const std::string made = "\x95" + number(1, 8) + "](" + texts + bytes + numbers + tuples + lists +
                           "e" + rest + memo + "](" + global + object + one + "Q" + "}" +
                           text("k") + one + "s" + ordered_dict() + "}b" + "e\x86";
  write(folder / "opcodes", file(made, 4));
  const std::string foreign = "](T" + number(1, 4) + "aU\1b\x8f(" + one + "\x90(" + one + "\x91" +
                              pickled::global("my", "Class") + ")}\x92" + "\x96" + number(2, 8) +
                              "xy" + pickled::global("my", "Class") + ")\x81" + one + "a" + "(" +
                              one + one + "u" + "}b" + "\x8a\x0a" + std::string(10, 'n') + "X" +
                              number(1, 4) + "\xff" + "e";
  write(folder / "opcodes of strangers", file(foreign, 5));
  for (const char* old : {"I1\n.", "(lp0\n.", "S'a'\n.", "cos\nsystem\n.", "i", "P", "\x82\1."}) {
    write(folder / ("old " + std::to_string(std::uint8_t(old[0]))), old);
  }
  const std::vector<std::string> broken = {"K\1K\1",         // two values
                                           "",               // none
                                           "h\7",            // nothing in the memo
                                           "K\1a",           // appended to a number
                                           "](K\1u",         // a key without a value
                                           "}](K\1s",        // a mark between
                                           "}]K\1s",         // a list for a key
                                           "K\1)R",          // a call of a number
                                           global + "K\1R",  // arguments that are a number
                                           "K\1K\1b",        // the state of a number
                                           "K\1K\1\x93",     // a global of numbers
                                           "\x8a\x09" + std::string(9, 1),  // 72 bits
                                           object + one + "b",              // a second state
                                           "X" + number(9, 4) + "a",        // a text beyond the end
                                           "X" + number(1, 4) + "\xff",     // no UTF-8
                                           "\x95" + number(99, 8),  // a frame beyond the end
                                           "\xff",                  // no opcode
                                           "0",
                                           "(0K\1",
                                           "1",
                                           "2"};
  for (std::size_t i = 0; i < broken.size(); ++i) {
    write(folder / ("broken " + std::to_string(i)), file(broken[i], 4));
  }
  write(folder / "protocol 9", file("N", 9));
  write(folder / "no stop", "\x80\2N");
}

}  // namespace

void write_pickle_seeds(const fs::path& root, WriteSeed* write) {
  write_pickles(root / "pickle", write);
}

}  // namespace kappascope::testing
