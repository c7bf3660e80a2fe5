#include "core/report/html.h"

#include "core/checkpoint/tensor.h"
#include "core/figure/png.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

unsigned hex_digit(char c) {
  return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
}

}  // namespace

std::string html_escaped(std::string_view raw) {
  return xml_escaped(plain_text(raw));
}

std::string id_word(std::string_view raw) {
  std::string word;
  for (const char c : raw) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    word += kept || c == '_' ? c : '-';
  }
  return word;
}

std::string script_source(std::string_view script) {
  const std::string hex = sha256_hex(std::string(script));
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(hex_digit(hex[i]) * 16 + hex_digit(hex[i + 1]));
  }
  return "'sha256-" + base64(bytes) + "'";
}

}  // namespace kappascope
