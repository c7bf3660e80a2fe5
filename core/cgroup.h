// Limits that the control groups of this process set, versions 1 and 2.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kappascope {

// A limit as one group has it; none where the group's folder does not say.
using GroupLimit = std::function<std::optional<double>(const std::filesystem::path& group)>;

// The least over the group and its parents. `memberships` is the text of /proc/self/cgroup, `mount`
// is /sys/fs/cgroup; `controller` is the name of version 1, as "cpu".
std::optional<double> least_group_limit(std::string_view memberships,
                                        const std::filesystem::path& mount,
                                        std::string_view controller, const GroupLimit& version_1,
                                        const GroupLimit& version_2);

// The text of a small file; "" when it cannot be read.
std::string small_file(const std::filesystem::path& file);
// The number that it begins with.
std::optional<double> number_in(const std::filesystem::path& file);

}  // namespace kappascope
