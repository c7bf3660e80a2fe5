#include "app/metrics.h"

#include <algorithm>

#include "app/metrics_text.h"
#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::string_view kHeading = "\n## ";

}  // namespace

std::vector<std::string_view> metric_names() {
  std::vector<std::string_view> names;
  for (std::size_t at = kMetricsText.find(kHeading); at != std::string_view::npos;
       at = kMetricsText.find(kHeading, at + 1)) {
    const std::size_t begin = at + kHeading.size();
    names.push_back(kMetricsText.substr(begin, kMetricsText.find('\n', begin) - begin));
  }
  return names;
}

std::string_view metric_definition(std::string_view name) {
  const std::size_t heading = kMetricsText.find(join_words(kHeading, name, "\n"));
  if (heading == std::string_view::npos) return "";
  const std::size_t begin = heading + 1;
  const std::size_t end =
      std::min(kMetricsText.find("\n## ", begin), kMetricsText.find("\n# ", begin));
  return kMetricsText.substr(begin, end == std::string_view::npos ? end : end - begin);
}

}  // namespace kappascope
