#include "app/said_text.h"

#include <algorithm>

#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Whether more bytes could make a code point of those at the end of a text.
bool may_go_on(std::string_view rest) {
  const auto lead = std::uint8_t(rest[0]);
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  return lead >= 0xC2 && lead < 0xF5 && rest.size() < length &&
         std::none_of(rest.begin() + 1, rest.end(), starts_utf8);
}

}  // namespace

std::string SaidText::take_code_points(bool all) {
  std::string whole;
  std::size_t at = 0;
  while (at < bytes_.size()) {
    const std::size_t length = decode_utf8(bytes_, at).length;
    if (length == 0 && !all && may_go_on(std::string_view(bytes_).substr(at))) { break; }
    whole += length == 0 ? kReplacement : std::string_view(bytes_).substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  bytes_.erase(0, at);
  return whole;
}

// Bytes at the end of held_ that a stop text begins with.
std::size_t SaidText::waiting_for_stop() const {
  std::size_t most = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > most; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) { most = n; }
    }
  }
  return most;
}

std::string SaidText::give(std::size_t bytes) {
  const std::string given = held_.substr(0, bytes);
  held_.erase(0, bytes);
  all_ += given;
  return given;
}

std::string SaidText::add(std::string_view bytes) {
  if (stopped_) { return ""; }
  bytes_ += bytes;
  held_ += take_code_points(false);
  std::size_t first = held_.npos;
  for (const std::string& stop : stops_) { first = std::min(first, held_.find(stop)); }
  if (first == held_.npos) { return give(held_.size() - waiting_for_stop()); }
  stopped_ = true;
  const std::string given = give(first);
  held_.clear();
  return given;
}

std::string SaidText::finish() {
  if (stopped_) { return ""; }
  held_ += take_code_points(true);
  return give(held_.size());
}

}  // namespace kappascope
