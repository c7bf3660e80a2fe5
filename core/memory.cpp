#include "core/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <sstream>

#include "core/cgroup.h"
#include "core/error.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// A line "NAME  NUMBER …" of a file.
std::optional<double> value_of(const fs::path& file, std::string_view name) {
  std::istringstream lines(small_file(file));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    double value = 0;
    if (words >> first >> value && first == name) { return value; }
  }
  return {};
}

// Pages of files can be dropped.
std::optional<double> left(const fs::path& group, const char* limit, const char* used,
                           std::initializer_list<const char*> files) {
  const std::optional<double> most = number_in(group / limit), now = number_in(group / used);
  if (!most || !now || *most > 1e18) { return {}; }  // version 1 writes 2⁶³ where there is none
  double dropped = 0;
  for (const char* name : files) { dropped += value_of(group / "memory.stat", name).value_or(0); }
  return std::max(0.0, *most - std::max(0.0, *now - dropped));
}

std::optional<double> left_of_version_2(const fs::path& group) {
  return left(group, "memory.max", "memory.current", {"inactive_file", "active_file"});
}

std::optional<double> left_of_version_1(const fs::path& group) {
  return left(group, "memory.limit_in_bytes", "memory.usage_in_bytes",
              {"total_inactive_file", "total_active_file"});
}

// What a limit of the process leaves; `name`: of what counts against it, in /proc/self/status.
std::optional<double> left_of_process(decltype(RLIMIT_AS) limit, std::string_view name) {
  rlimit found{};
  if (getrlimit(limit, &found) != 0 || found.rlim_cur == RLIM_INFINITY) { return {}; }
  const double used = 1024 * value_of("/proc/self/status", name).value_or(0);
  return std::max(0.0, double(found.rlim_cur) - used);
}

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array<Unit, 10> kUnits{{{"", 1},
                                       {"B", 1},
                                       {"kB", 1e3},
                                       {"MB", 1e6},
                                       {"GB", 1e9},
                                       {"TB", 1e12},
                                       {"KiB", 0x1p10},
                                       {"MiB", 0x1p20},
                                       {"GiB", 0x1p30},
                                       {"TiB", 0x1p40}}};

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::uint64_t available_memory() {
  std::optional<double> least;
  const std::optional<double> machine = value_of("/proc/meminfo", "MemAvailable:");
  for (const std::optional<double>& left :
       {machine ? std::optional(1024 * *machine) : machine,
        cgroup_memory_left(small_file("/proc/self/cgroup"), "/sys/fs/cgroup"),
        std::optional(double(available_address_space())),
        left_of_process(RLIMIT_DATA, "VmData:")}) {
    if (left) { least = std::min(*left, least.value_or(*left)); }
  }
  return std::uint64_t(least.value_or(0x1p62));
}

std::uint64_t available_address_space() {
  return std::uint64_t(left_of_process(RLIMIT_AS, "VmSize:").value_or(0x1p62));
}

std::uint64_t resident_memory() {
  return std::uint64_t(1024 * value_of("/proc/self/status", "VmRSS:").value_or(0));
}

std::optional<double> cgroup_memory_left(std::string_view memberships, const fs::path& mount) {
  return least_group_limit(memberships, mount, "memory", left_of_version_1, left_of_version_2);
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1000) { return join_words(bytes, " bytes"); }
  const char* unit = "kB";
  double value = double(bytes) / 1e3;
  for (const char* larger : {"MB", "GB", "TB"}) {
    if (value < 999.5) { break; }
    value /= 1e3;
    unit = larger;
  }
  char text[40];
  std::snprintf(text, sizeof text, value < 99.95 ? "%.1f %s" : "%.0f %s", value, unit);
  return text;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) { return {}; }
  std::string_view unit = text.substr(std::size_t(end - text.data()));
  while (unit.starts_with(' ')) { unit.remove_prefix(1); }
  const auto found = std::find_if(kUnits.begin(), kUnits.end(),
                                  [&](const Unit& one) { return same_letters(one.name, unit); });
  if (found == kUnits.end()) { return {}; }
  const double bytes = value * found->bytes;
  if (!(bytes >= 1 && bytes < 0x1p62)) { return {}; }
  return std::uint64_t(bytes);
}

}  // namespace kappascope
