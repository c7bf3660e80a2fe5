// How much memory this process may still take.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace kappascope {

// Bytes that this process may take beyond what it has: the least of what the machine has available,
// what the control groups leave and what the limits of the process (ulimit -v, -d) leave. Pages of
// files that can be dropped count as available.
std::uint64_t available_memory();
// Bytes that this process may map beyond what it has (ulimit -v).
std::uint64_t available_address_space();
// Bytes of memory that this process has now.
std::uint64_t resident_memory();

// What the memory limits of control groups leave; none without a limit. As cgroup_cpu_quota.
std::optional<double> cgroup_memory_left(std::string_view memberships,
                                         const std::filesystem::path& mount);

// "31.2 GB", "512 MB", "17 bytes": units of 1000.
std::string bytes_text(std::uint64_t bytes);
// "8GB", "512MB", "1.5 GiB", "4e9": a number above 0, then B, kB, MB, GB, TB, KiB, MiB, GiB or TiB,
// bytes where no unit is given. None when the text is not that.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace kappascope
