#include "core/trace/token_bytes.h"

namespace kappascope {
namespace {

int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::string token_bytes(const Trace& trace, std::int64_t t) {
  const auto i = static_cast<std::size_t>(t);
  const bool known = i < trace.token_bytes_hex.size() && !trace.token_bytes_hex[i].empty();
  if (!known) { return trace.token_text[i]; }
  const std::string& digits = trace.token_bytes_hex[i];
  std::string bytes(digits.size() / 2, '\0');
  for (std::size_t k = 0; k < bytes.size(); ++k) {
    const int high = hex_digit(digits[2 * k]), low = hex_digit(digits[2 * k + 1]);
    if (high < 0 || low < 0) { return trace.token_text[i]; }
    bytes[k] = static_cast<char>(16 * high + low);
  }
  return bytes;
}

}  // namespace kappascope
