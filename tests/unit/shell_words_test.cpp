#include "app/shell_words.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <vector>

namespace kappascope {
namespace {

// What a shell makes of the line: the words, after one that begins each.
std::vector<std::string> read_back(const std::string& line) {
  std::FILE* shell = popen(("printf '%s\\0' " + line).c_str(), "r");
  if (!shell) { return {"no shell"}; }
  std::string out;
  std::array<char, 4096> block;
  for (std::size_t read; (read = std::fread(block.data(), 1, block.size(), shell)) > 0;) {
    out.append(block.data(), read);
  }
  EXPECT_EQ(pclose(shell), 0) << line;
  std::vector<std::string> words;
  for (std::size_t at = 0, end; (end = out.find('\0', at)) != std::string::npos; at = end + 1) {
    words.push_back(out.substr(at, end - at));
  }
  return words;
}

TEST(ShellWords, AShellReadsBackWhatWasQuoted) {
  const std::vector<std::string> words = {"",
                                          " ",
                                          "two words",
                                          "it's",
                                          "'",
                                          "''\\''",
                                          "\"$HOME\" $(echo x) `echo y` ${z}",
                                          "a\nb\n",
                                          "\t\r\\",
                                          "\\n",
                                          "κ 漢字 🐙",
                                          "-n",
                                          "--prompt=-x y",
                                          "*?[a-z]{a,b}",
                                          "~",
                                          "~/x",
                                          "#no comment",
                                          "!!",
                                          "a;b&c|d<e>f",
                                          "x=1",
                                          "%s",
                                          "\x1b[2J\x7f",
                                          "\xff\xfe"};
  std::string every;
  for (int c = 1; c < 256; ++c) { every += static_cast<char>(c); }
  std::vector<const char*> all;
  for (const std::string& word : words) {
    EXPECT_EQ(read_back(quote_word(word)), std::vector<std::string>{word}) << quote_word(word);
    all.push_back(word.c_str());
  }
  EXPECT_EQ(read_back(quote_word(every)), std::vector<std::string>{every});
  EXPECT_EQ(read_back(quote_command(static_cast<int>(all.size()), all.data())), words);
}

TEST(ShellWords, PlainWordsStayAsTheyAre) {
  for (const char* word : {"kappascope", "out/d8-kappa", "--width", "85.5", "loss,kappa-depth",
                           "a_b", "x=1", "-n", "user@host:1"}) {
    EXPECT_EQ(quote_word(word), word);
  }
  EXPECT_EQ(quote_word(""), "''");
  EXPECT_EQ(quote_word("it's"), "'it'\\''s'");
  const char* const words[] = {"kappascope", "run", "my model", "-p", ""};
  EXPECT_EQ(quote_command(5, words), "kappascope run 'my model' -p ''");
  EXPECT_EQ(quote_command(0, words), "");
}

}  // namespace
}  // namespace kappascope
