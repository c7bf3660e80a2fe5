#include "core/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// A container often sees its own group at the mount itself while /proc names its path outside:
// every folder from the named one up to the mount is looked at, whether it exists or not.
void take_least(std::optional<double>& least, const fs::path& mount, std::string_view path,
                const GroupLimit& limit) {
  for (fs::path group = fs::path(path).relative_path();; group = group.parent_path()) {
    if (const std::optional<double> found = limit(mount / group)) {
      least = std::min(found.value(), least.value_or(*found));
    }
    if (group.empty()) { return; }
  }
}

}  // namespace

std::string small_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::optional<double> number_in(const fs::path& file) {
  std::istringstream in(small_file(file));
  double value = 0;
  return in >> value ? std::optional(value) : std::nullopt;
}

std::optional<double> least_group_limit(std::string_view memberships, const fs::path& mount,
                                        std::string_view controller, const GroupLimit& version_1,
                                        const GroupLimit& version_2) {
  std::optional<double> least;
  std::istringstream lines{std::string(memberships)};
  for (std::string line; std::getline(lines, line);) {
    // "hierarchy:controllers:path"; version 2 has no controllers.
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) { continue; }
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    const std::string wanted(controller);
    if (controllers.empty()) {
      for (const char* folder : {"", "unified"}) {
        take_least(least, mount / folder, path, version_2);
      }
    } else if (("," + controllers + ",").find("," + wanted + ",") != std::string::npos) {
      for (const std::string& folder : {controllers, wanted}) {
        take_least(least, mount / folder, path, version_1);
      }
    }
  }
  return least;
}

}  // namespace kappascope
