// kappascope_twins [NAME|all [TOKENS…]]: every kernel against its reference twin, at sizes around
// those of warps and blocks. 0 all agree, 1 not, 77 without a device: then nothing was compared.
#include <cstdlib>
#include <cstring>

#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

constexpr Row kRows[] = {
    {"route", compare_route},
    {"soft_route", compare_soft_route},
    {"group", compare_group},
    {"dispatch", compare_dispatch},
    {"grouped_swiglu", compare_grouped_swiglu},
    {"kappa_swiglu_backward", compare_kappa_swiglu_backward},
    {"sum_effects", compare_sum_effects},
    {"few_rows", compare_few_rows},
    {"few_route", compare_few_route},
    {"few_product", compare_few_product},
    {"few_combine", compare_few_combine},
    {"combine", compare_combine},
    {"next_token", compare_next_token},
    {"wgmma_product", compare_wgmma_product},
    {"wgmma_swiglu", compare_wgmma_swiglu},
};

constexpr std::int64_t kTokens[] = {1, 7, 31, 33, 64, 130};

}  // namespace
}  // namespace kappascope::twin

int main(int argc, char** argv) {
  using namespace kappascope;
  const char* only = argc > 1 && std::strcmp(argv[1], "all") != 0 ? argv[1] : nullptr;
  std::vector<std::int64_t> sizes(std::begin(twin::kTokens), std::end(twin::kTokens));
  if (argc > 2) { sizes.clear(); }
  for (int i = 2; i < argc; ++i) { sizes.push_back(std::atoll(argv[i])); }
  int devices = 0;
  const int error = cuda_device_count(devices);
  bool passed = true, found = false;
  for (const twin::Row& row : twin::kRows) {
    if (only && std::strcmp(only, row.name) != 0) { continue; }
    found = true;
    if (error || devices == 0) {
      std::printf("%-21s skipped: no device (%s)\n", row.name,
                  error ? cuda_error_text(error) : "none found");
      continue;
    }
    twin::Check check;
    for (const std::int64_t tokens : sizes) { row.compare(tokens, check); }
    std::printf("%-21s %s: %s\n", row.name, check.passed() ? "agrees" : "FAILED",
                check.report().c_str());
    passed = passed && check.passed();
  }
  if (!found) { return std::printf("no such row\n"), 2; }
  if (error || devices == 0) { return 77; }
  return passed ? 0 : 1;
}
