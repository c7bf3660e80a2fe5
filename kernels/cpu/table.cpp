// The kernels of one instruction set.
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {

void route_tokens(const RouteArgs& args, std::int64_t first, std::int64_t last);
void row_product(const RowProductArgs& args);
void kappa_swiglu(const KappaSwigluArgs& args);
void kappa_statistics(const KappaStatisticsArgs& args);
void widen_turned(const std::uint16_t* from, std::int64_t stride, std::int64_t in,
                  std::int64_t count, float* to);
float norm(const float* x, std::int64_t size);
std::int64_t count_saturated(const void* values, std::int64_t size, std::int64_t width,
                             std::uint32_t exponent);
void next_token(const NextTokenArgs& args);

namespace {

#define KAPPASCOPE_OVER_ARRAY(function)                                   \
  [](const float* x, float* y, std::int64_t size) {                       \
    for (std::int64_t i = 0; i < size; i += kVector) {                    \
      const std::int64_t count = size - i < kVector ? size - i : kVector; \
      store_part(y + i, function(load_part(x + i, count)), count);        \
    }                                                                     \
  }

}  // namespace

#define KAPPASCOPE_QUOTED(name) #name
#define KAPPASCOPE_TEXT(name) KAPPASCOPE_QUOTED(name)

extern const CpuKernels kernels;
const CpuKernels kernels = {KAPPASCOPE_TEXT(KAPPASCOPE_ISA),
                            route_tokens,
                            row_product,
                            kappa_swiglu,
                            kappa_statistics,
                            widen_turned,
                            norm,
                            count_saturated,
                            next_token,
                            KAPPASCOPE_OVER_ARRAY(exp),
                            KAPPASCOPE_OVER_ARRAY(tanh),
                            KAPPASCOPE_OVER_ARRAY(sigmoid),
                            KAPPASCOPE_OVER_ARRAY(log)};

}  // namespace kappascope::KAPPASCOPE_ISA
