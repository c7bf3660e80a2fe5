// Soft routing on the GPU (SPEC §3, SPEC-layouts §3a); soft_math.h has the formulas.
//
//   the experts of a token by falling logit; x*; p = F(r/T − x*), in float64; those above the
//   threshold run
//
// One warp per token, whose experts are in shared memory, sorted there by the warp. The places in
// the experts' queues are counted as those of route.cu are.
#include "kernels/route_warp.h"
#include "kernels/soft_math.h"

namespace kappascope {
namespace {

constexpr int kExpertBytes = 16;     // of shared memory: p, logit, number
constexpr int kBlockExperts = 2048;  // that a block holds at most

// The sums of soft_math.h by the lanes of a warp, the same in every lane.
struct WarpTeam {
  int lane;

  template <typename Term>
  __device__ double sum(std::int64_t first, std::int64_t last, const Term& term) const {
    double total = 0;
    for (std::int64_t i = first + lane; i < last; i += kWarp) { total += term(i); }
    return warp_sum(total);
  }
  template <typename Term>
  __device__ double least(std::int64_t count, const Term& term) const {
    double result = INFINITY;
    for (std::int64_t i = lane; i < count; i += kWarp) {
      const double value = term(i);
      if (!(value >= result)) { result = value; }
    }
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      const double other = __shfl_xor_sync(kAllLanes, result, offset);
      if (!(other >= result)) { result = other; }
    }
    return result;
  }
};

// The experts of one token in shared memory, as many as a power of two: the last ones are none.
struct SoftToken {
  double* p;
  float* logit;
  std::int32_t* expert;
  int size;

  __device__ bool by_logit(int a, int b) const {
    return chosen_before({logit[a], expert[a]}, {logit[b], expert[b]});
  }
  // Equal p: lower expert first.
  __device__ bool by_weight(int a, int b) const {
    return p[a] != p[b] ? p[a] > p[b] : expert[a] < expert[b];
  }
  __device__ void exchange(int a, int b) const {
    const double weight = p[a];
    const float value = logit[a];
    const std::int32_t number = expert[a];
    p[a] = p[b];
    logit[a] = logit[b];
    expert[a] = expert[b];
    p[b] = weight;
    logit[b] = value;
    expert[b] = number;
  }
};

// Bitonic, by one warp: `before(a, b)` says whether what is at a belongs before what is at b.
template <typename Before>
__device__ void sort_token(const SoftToken& token, int lane, const Before& before) {
  for (int run = 2; run <= token.size; run *= 2) {
    for (int reach = run / 2; reach > 0; reach /= 2) {
      for (int pair = lane; pair < token.size / 2; pair += kWarp) {
        const int low = 2 * pair - (pair & (reach - 1)), high = low + reach;
        const bool falls = (low & run) == 0;
        if (falls ? before(high, low) : before(low, high)) { token.exchange(low, high); }
      }
      __syncwarp();
    }
  }
}

// The experts of token t by falling logit. False when a logit is not finite.
__device__ bool read_sorted(const RoutingView& routing, std::int64_t t, int lane,
                            const SoftToken& token) {
  const float* logits = routing.logits + t * routing.experts;
  bool finite = true;
  for (int i = lane; i < token.size; i += kWarp) {
    const bool is = i < routing.experts;
    token.logit[i] = is ? logits[i] : -INFINITY;
    token.expert[i] = is ? i : INT32_MAX;
    token.p[i] = is ? double(NAN) : -1.0;
    finite = finite && (!is || fabsf(token.logit[i]) < INFINITY);
  }
  __syncwarp();
  if (__ballot_sync(kAllLanes, !finite) != 0) { return false; }
  sort_token(token, lane, [&](int a, int b) { return token.by_logit(a, b); });
  return true;
}

__device__ void weigh_softly(const SoftRouteArgs& args, int lane, const SoftToken& token) {
  const std::int64_t experts = args.route.routing.experts;
  const SoftRoot root = soft_root(WarpTeam{lane}, token.logit, experts, args.rule);
  for (int i = lane; i < experts; i += kWarp) {
    token.p[i] = soft_weight(token.logit[i], root, args.rule.temperature);
  }
  __syncwarp();
  // Unequal logits may have equal p, which are in the order of the experts.
  bool sorted = true;
  for (int i = lane; i + 1 < experts; i += kWarp) { sorted = sorted && token.by_weight(i, i + 1); }
  if (__ballot_sync(kAllLanes, !sorted) == 0) { return; }
  __syncwarp();  // all have compared before any exchanges
  sort_token(token, lane, [&](int a, int b) { return token.by_weight(a, b); });
}

// One warp per token, `warps` of them a block. Shared memory: kExpertBytes for each of their
// experts.
__global__ void soft_route_kernel(SoftRouteArgs args, int size, int warps) {
  KAPPASCOPE_DYNAMIC_SHARED(double, memory);
  const RoutingView& routing = args.route.routing;
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const std::int64_t t = std::int64_t(blockIdx.x) * warps + warp;
  if (t >= routing.tokens) { return; }
  float* const logits = reinterpret_cast<float*>(memory + warps * size);
  std::int32_t* const experts = reinterpret_cast<std::int32_t*>(logits + warps * size);
  const SoftToken token{memory + warp * size, logits + warp * size, experts + warp * size, size};
  if (read_sorted(routing, t, lane, token)) { weigh_softly(args, lane, token); }
  const SoftChoice choice = soft_choice(WarpTeam{lane}, token.p, routing.experts, args.rule);
  for (int i = lane; i < routing.experts; i += kWarp) {
    const std::int64_t cell = t * routing.experts + i;
    const std::int32_t expert = token.expert[i];
    const auto p = float(token.p[i]);
    if (routing.soft_weight) { routing.soft_weight[t * routing.experts + expert] = p; }
    routing.cells.expert[cell] = expert;
    routing.cells.kept[cell] = i < choice.run;
    routing.cells.weight[cell] = p;  // of what does not run it becomes 0 with its place
  }
  if (!routing.numbers.margin) { return; }
  if (lane == 0) { routing.numbers.margin[t] = float(choice.margin); }
  __syncwarp();
  describe_router(routing, t, choice.run, lane);
}

}  // namespace

int soft_route_cuda(const SoftRouteArgs& args, std::int32_t* memory, CudaStream stream) {
  const RoutingView& routing = args.route.routing;
  if (routing.experts > kMostSoftExperts) { return int(cudaErrorInvalidValue); }
  if (routing.tokens == 0) { return 0; }
  int size = 1;
  while (size < routing.experts) { size *= 2; }
  const int warps = size * kWarps <= kBlockExperts ? kWarps : kBlockExperts / size;
  cudaLaunchConfig_t config{};
  config.gridDim = blocks_for(routing.tokens, warps);
  config.blockDim = dim3(unsigned(warps * kWarp));
  config.dynamicSmemBytes = std::size_t(warps * size * kExpertBytes);
  config.stream = stream;
  const int error = launch(config, soft_route_kernel, args, size, warps);
  if (error) { return error; }
  RouteArgs queues = args.route;
  queues.kept_is_given = true;
  return place_in_queues(queues, memory, stream);
}

}  // namespace kappascope
