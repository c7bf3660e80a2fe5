// Work shared out among Torch's threads.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <cstdint>

#include "core/forward/feed_forward.h"

#ifndef INTRA_OP_PARALLEL
#error "compiled without OpenMP, at::parallel_for would run everything on one thread"
#endif

namespace kappascope {

// What an item is computed under: inference, or only without a graph, where the caller writes the
// derivatives itself.
struct Inferring {
  at::InferenceMode mode;
};
struct WithoutGraph {
  c10::AutoGradMode mode{false};
};

// Gives Torch that many threads, OpenMP's. Beside them it starts a pool for quantized operations,
// which we have none of, as large as the first call says, and its threads wait by spinning. Only
// the first call may say 1: a later one could be seen by a thread that computes.
inline void set_torch_threads(int threads) {
  [[maybe_unused]] static const bool first = (at::set_num_threads(1), true);
  at::set_num_threads(threads);
}

// Calls item(0) … item(items − 1), each once, on Torch's threads unless `alone`, whoever is free
// taking the next. Only the calling thread calls check(); what an item or check() throws comes out
// here, after the items under way.
template <typename Mode, typename Check, typename Item>
void share_out(std::int64_t items, bool alone, const Check& check, const Item& item) {
  check();
  std::atomic<std::int64_t> next{0};
  const auto work = [&](std::int64_t, std::int64_t) {
    const Mode mode;
    const bool caller = at::get_thread_num() == 0;
    try {
      for (std::int64_t i = next++; i < items; i = next++) {
        if (caller) { check(); }
        item(i);
      }
    } catch (...) {
      next = items;
      throw;
    }
  };
  const auto threads = std::min<std::int64_t>(at::get_num_threads(), items);
  if (threads < 2 || alone || at::in_parallel_region()) {
    work(0, 1);
  } else {
    at::parallel_for(0, threads, 1, work);
  }
}

// The same with the progress of a call that runs texts.
template <typename Item>
void share_out(std::int64_t items, const CallContext& context, const Item& item) {
  share_out<Inferring>(items, /*alone=*/false, [&] { context.check(); }, item);
}

}  // namespace kappascope
