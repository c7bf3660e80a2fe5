// Threads of a block as stacks that are switched by hand (cuda_runtime.h beside this).
#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <vector>

#include "tests/gpu/emulated/cuda_runtime.h"

#ifndef __x86_64__
#error "stacks are switched by hand on x86-64 only, the one processor this project is built for"
#endif

// Puts the registers that a call keeps onto the stack, leaves its top in *from, and takes up the
// stack at `to` likewise. (swapcontext does the same with two system calls, 50 times slower.)
extern "C" void emulated_switch(void** from, void* to);
asm(R"(
.text
.globl emulated_switch
.hidden emulated_switch
.type emulated_switch, @function
emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulated_switch, .-emulated_switch
)");

// What ThreadSanitizer is told: which thread runs, and what a barrier orders. Nothing else orders,
// so that a missing barrier is a data race.
#ifdef KAPPASCOPE_TSAN_FIBERS
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* token);
void __tsan_release(void* token);
}
namespace {
constexpr unsigned kWithoutOrder = 1;
void* make_fiber() {
  return __tsan_create_fiber(0);
}
void* this_fiber() {
  return __tsan_get_current_fiber();
}
void switch_to_fiber(void* fiber) {
  __tsan_switch_to_fiber(fiber, kWithoutOrder);
}
}  // namespace
void emulated::acquire(char& token) {
  __tsan_acquire(&token);
}
void emulated::release(char& token) {
  __tsan_release(&token);
}
#else
namespace {
void* make_fiber() {
  return nullptr;
}
void* this_fiber() {
  return nullptr;
}
void switch_to_fiber(void*) {}
}  // namespace
void emulated::acquire(char&) {}
void emulated::release(char&) {}
#endif

namespace emulated {
namespace {

constexpr std::size_t kStackBytes = 256 << 10;
constexpr int kLanes = 32;
constexpr int kMostPolls = 1000;  // in a row, nothing else happening

enum class State { ready, at_barrier, in_warp, polling, done };

struct Thread {
  void* top = nullptr;
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStackBytes);
  State state = State::done;
  int exchanges = 0, barriers = 0, warp_barriers = 0;
  void* fiber = make_fiber();
};

// The two tables of a warp: a lane can be one exchange ahead of the others, never two.
struct Warp {
  std::uint64_t given[2][kLanes];
  char barrier[2];
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<int> order;
  std::vector<char> shared;
  std::vector<std::vector<std::uint64_t>> static_shared;
  void* scheduler = nullptr;
  void* host = nullptr;  // the fiber of the scheduler
  char started = 0, ended = 0, barrier[2] = {};
  const std::function<void()>* body = nullptr;
  int running = 0;
};

Block& block() {
  static Block only;
  return only;
}

void fill(std::vector<std::uint64_t>& variable) {
  std::fill(variable.begin(), variable.end(), ~std::uint64_t(0));
}

[[noreturn]] void stop(const char* what) {
  const dim3 index = block_index;
  std::fprintf(stderr, "emulated CUDA: %s; block %u,%u,%u\n", what, index.x, index.y, index.z);
  std::abort();
}

void start() {
  acquire(block().started);
  (*block().body)();
  release(block().ended);
  Thread& self = block().threads[block().running];
  self.state = State::done;
  switch_to_fiber(block().host);
  emulated_switch(&self.top, block().scheduler);  // for good
}

// The stack of a thread that has not begun: `start` is where its first switch returns to.
void prepare(Thread& thread) {
  const auto end = reinterpret_cast<std::uintptr_t>(thread.stack.get() + kStackBytes) / 16 * 16;
  void** top = reinterpret_cast<void**>(end) - 2;  // as after a call: 8 below a multiple of 16
  *top = reinterpret_cast<void*>(&start);
  for (int saved = 0; saved < 6; ++saved) { *--top = nullptr; }
  thread.top = top;
  thread.state = State::ready;
  thread.exchanges = thread.barriers = thread.warp_barriers = 0;
}

void wait_as(State state) {
  Thread& self = block().threads[block().running];
  self.state = state;
  switch_to_fiber(block().host);
  emulated_switch(&self.top, block().scheduler);
}

void resume(int thread) {
  Block& now = block();
  now.running = thread;
  thread_index = dim3(unsigned(thread), 0, 0);
  switch_to_fiber(now.threads[thread].fiber);
  emulated_switch(&now.scheduler, now.threads[thread].top);
}

// Lets the threads [first, last) go on when all of them wait alike.
bool let_go(std::size_t first, std::size_t last, State state) {
  auto& threads = block().threads;
  const auto waits = [&](const Thread& thread) { return thread.state == state; };
  const auto from = threads.begin() + std::ptrdiff_t(first);
  const auto to = threads.begin() + std::ptrdiff_t(last);
  if (!std::all_of(from, to, waits)) { return false; }
  std::for_each(from, to, [](Thread& thread) { thread.state = State::ready; });
  return true;
}

void run_block(std::size_t size) {
  Block& now = block();
  for (std::size_t i = 0; i < size; ++i) { prepare(now.threads[i]); }
  for (int polls = 0;;) {
    for (const int thread : now.order) {
      while (now.threads[thread].state == State::ready) { resume(thread); }
    }
    bool moved = false;
    for (std::size_t first = 0; first < size; first += kLanes) {
      moved |= let_go(first, first + kLanes, State::in_warp);
    }
    moved |= let_go(0, size, State::at_barrier);
    polls = moved ? 0 : polls + 1;
    if (polls < kMostPolls) {
      for (std::size_t i = 0; i < size; ++i) { moved |= let_go(i, i + 1, State::polling); }
    }
    if (moved) { continue; }
    const auto done = [](const Thread& thread) { return thread.state == State::done; };
    if (std::all_of(now.threads.begin(), now.threads.begin() + std::ptrdiff_t(size), done)) {
      return;
    }
    stop("threads wait for others that never come (a barrier in a branch, or after a return)");
  }
}

}  // namespace

void run(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  Block& now = block();
  const std::size_t size = config.blockDim.x;
  if (size == 0 || size % kLanes != 0 || size > 1024) { stop("the block is not of whole warps"); }
  while (now.threads.size() < size) { now.threads.emplace_back(); }
  now.warps.resize(size / kLanes);
  now.order.resize(size);
  std::iota(now.order.begin(), now.order.end(), 0);
  now.body = &thread;
  now.host = this_fiber();
  std::uint32_t random = 1;
  for (unsigned z = 0; z < config.gridDim.z; ++z) {
    for (unsigned y = 0; y < config.gridDim.y; ++y) {
      for (unsigned x = 0; x < config.gridDim.x; ++x) {
        block_index = dim3(x, y, z);
        now.shared.assign(config.dynamicSmemBytes + 16, char(0xff));  // NaN as float
        for (auto& variable : now.static_shared) { fill(variable); }
        random = random * 1664525u + 1013904223u;
        std::rotate(now.order.begin(), now.order.begin() + (random >> 16) % size, now.order.end());
        if (random >> 31) { std::reverse(now.order.begin(), now.order.end()); }
        release(now.started);
        run_block(size);
        acquire(now.ended);
      }
    }
  }
}

void* dynamic_shared() {
  const auto address = reinterpret_cast<std::uintptr_t>(block().shared.data());
  return reinterpret_cast<void*>((address + 15) / 16 * 16);
}

void* static_shared(std::size_t bytes) {
  auto& variable = block().static_shared.emplace_back(bytes / sizeof(std::uint64_t) + 1);
  fill(variable);
  return variable.data();
}

void block_barrier() {
  Thread& self = block().threads[block().running];
  char& token = block().barrier[self.barriers++ % 2];
  release(token);
  wait_as(State::at_barrier);
  acquire(token);
}

void let_others() {
  wait_as(State::polling);
}

void warp_barrier() {
  Thread& self = block().threads[block().running];
  char& token = block().warps[block().running / kLanes].barrier[self.warp_barriers++ % 2];
  release(token);
  exchange(0);
  acquire(token);
}

int lane() {
  return block().running % kLanes;
}

const std::uint64_t* exchange(std::uint64_t value) {
  Thread& self = block().threads[block().running];
  Warp& warp = block().warps[block().running / kLanes];
  const int table = self.exchanges++ % 2;
  warp.given[table][lane()] = value;
  wait_as(State::in_warp);
  return warp.given[table];
}

}  // namespace emulated
