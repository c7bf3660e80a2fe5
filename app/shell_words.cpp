#include "app/shell_words.h"

#include <algorithm>
#include <cctype>

namespace kappascope {
namespace {

bool needs_quotes(std::string_view word) {
  if (word.empty()) { return true; }
  return !std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return (c < 0x80 && std::isalnum(c)) ||
           std::string_view("_-./=,:+@%").find(char(c)) != std::string_view::npos;
  });
}

}  // namespace

std::string quote_word(std::string_view word) {
  if (!needs_quotes(word)) { return std::string(word); }
  std::string text = "'";
  for (const char c : word) { text += c == '\'' ? std::string("'\\''") : std::string(1, c); }
  return text + "'";
}

std::string quote_command(int count, const char* const* words) {
  std::string line;
  for (int i = 0; i < count; ++i) { line += (i > 0 ? " " : "") + quote_word(words[i]); }
  return line;
}

}  // namespace kappascope
