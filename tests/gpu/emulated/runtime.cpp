// Threads of a block as stacks that are switched by hand (cuda_runtime.h beside this).
#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>
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

// The two tables of a warp: a lane can be one exchange ahead of the others, never two.
struct Warp {
  std::uint64_t given[2][kLanes];
  char barrier[2];
  int thread[kLanes];            // by turn
  std::uint32_t ready, polling;  // a bit for each turn
  int exchanging;
};

struct Thread {
  void* top = nullptr;
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStackBytes);
  Warp* warp = nullptr;
  int lane = 0, turn = 0;
  int exchanges = 0, barriers = 0, warp_barriers = 0;
  void* fiber = make_fiber();
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<char> shared;
  std::vector<std::vector<std::uint64_t>> static_shared;
  void* scheduler = nullptr;
  void* host = nullptr;  // the fiber of the scheduler
  char started = 0, ended = 0, barrier[2] = {};
  const std::function<void()>* body = nullptr;
  Thread* running = nullptr;
  int at_barrier = 0, done = 0, polls = 0;
} block;

void fill(std::vector<std::uint64_t>& variable) {
  std::fill(variable.begin(), variable.end(), ~std::uint64_t(0));
}

[[noreturn]] void stop(const char* what) {
  const dim3 index = block_index;
  std::fprintf(stderr, "emulated CUDA: %s; block %u,%u,%u\n", what, index.x, index.y, index.z);
  std::abort();
}

// The next of a warp that can go on, the turns from `turn` on first.
int next_of(const Warp& warp, int turn) {
  const std::uint32_t later = warp.ready >> turn << turn;
  return warp.thread[__builtin_ctz(later ? later : warp.ready)];
}

// The thread that goes on: of the warp that runs, then of the others.
int next_thread() {
  const Thread& self = *block.running;
  if (self.warp->ready) { return next_of(*self.warp, (self.turn + 1) % kLanes); }
  for (const Warp& warp : block.warps) {
    if (warp.ready) { return next_of(warp, 0); }
  }
  if (block.polls++ < kMostPolls) {
    for (Warp& warp : block.warps) { warp.ready = std::exchange(warp.polling, 0); }
    for (const Warp& warp : block.warps) {
      if (warp.ready) { return next_of(warp, 0); }
    }
  }
  stop("threads wait for others that never come (a barrier in a branch, or after a return)");
}

void switch_to(void** from, int thread) {
  block.running = &block.threads[std::size_t(thread)];
  thread_index.x = unsigned(thread);
  switch_to_fiber(block.running->fiber);
  emulated_switch(from, block.running->top);
}

// The others go on until this thread can.
void wait(Thread& self) {
  self.warp->ready &= ~(1u << self.turn);
  const int next = next_thread();
  if (next != int(thread_index.x)) { switch_to(&self.top, next); }
}

void start() {
  acquire(block.started);
  (*block.body)();
  release(block.ended);
  Thread& self = *block.running;
  self.warp->ready &= ~(1u << self.turn);
  if (++block.done < int(block.warps.size()) * kLanes) { switch_to(&self.top, next_thread()); }
  switch_to_fiber(block.host);
  emulated_switch(&self.top, block.scheduler);
}

// The stack of a thread that has not begun: `start` is where its first switch returns to. Stacks
// do not all begin at the same place of a page, which the sets of a cache go by.
void prepare(Thread& thread, int number) {
  const auto end = reinterpret_cast<std::uintptr_t>(thread.stack.get() + kStackBytes) / 16 * 16;
  void** top = reinterpret_cast<void**>(end - std::uintptr_t(number % 13 * 320)) -
               2;  // 8 below a multiple of 16
  *top = reinterpret_cast<void*>(&start);
  for (int saved = 0; saved < 6; ++saved) { *--top = nullptr; }
  thread.top = top;
  thread.exchanges = thread.barriers = thread.warp_barriers = 0;
}

// The turns of the lanes and of the warps change from block to block.
void run_block(std::uint32_t random) {
  const int warps = int(block.warps.size()), step = random >> 31 ? -1 : 1;
  const int first_lane = int(random >> 16) % kLanes, first_warp = int(random >> 21) % warps;
  for (int w = 0; w < warps; ++w) {
    Warp& warp = block.warps[std::size_t(w)];
    warp.ready = ~0u, warp.polling = 0, warp.exchanging = 0;
    for (int turn = 0; turn < kLanes; ++turn) {
      const int lane = (first_lane + step * turn) & (kLanes - 1);
      const int number = (first_warp + step * w + warps) % warps * kLanes + lane;
      Thread& thread = block.threads[std::size_t(warp.thread[turn] = number)];
      prepare(thread, number);
      thread.warp = &warp, thread.lane = lane, thread.turn = turn;
    }
  }
  block.at_barrier = block.done = block.polls = 0;
  switch_to(&block.scheduler, block.warps[0].thread[0]);
}

}  // namespace

void run(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  const std::size_t size = config.blockDim.x;
  if (size == 0 || size % kLanes != 0 || size > 1024) { stop("the block is not of whole warps"); }
  while (block.threads.size() < size) { block.threads.emplace_back(); }
  block.warps.resize(size / kLanes);
  block.body = &thread;
  block.host = this_fiber();
  std::uint32_t random = 1;
  for (unsigned z = 0; z < config.gridDim.z; ++z) {
    for (unsigned y = 0; y < config.gridDim.y; ++y) {
      for (unsigned x = 0; x < config.gridDim.x; ++x) {
        block_index = dim3(x, y, z);
        block.shared.assign(config.dynamicSmemBytes + 16, char(0xff));  // NaN as float
        for (auto& variable : block.static_shared) { fill(variable); }
        random = random * 1664525u + 1013904223u;
        release(block.started);
        run_block(random);
        acquire(block.ended);
      }
    }
  }
}

void* dynamic_shared() {
  const auto address = reinterpret_cast<std::uintptr_t>(block.shared.data());
  return reinterpret_cast<void*>((address + 15) / 16 * 16);
}

void* static_shared(std::size_t bytes) {
  auto& variable = block.static_shared.emplace_back(bytes / sizeof(std::uint64_t) + 1);
  fill(variable);
  return variable.data();
}

// The thread that comes last goes on at once, the others when it waits.
void block_barrier() {
  Thread& self = *block.running;
  char& token = block.barrier[self.barriers++ % 2];
  release(token);
  if (++block.at_barrier < int(block.warps.size()) * kLanes) {
    wait(self);
  } else {
    block.at_barrier = block.polls = 0;
    for (Warp& warp : block.warps) { warp.ready = ~0u; }
  }
  acquire(token);
}

void let_others() {
  Thread& self = *block.running;
  self.warp->polling |= 1u << self.turn;
  wait(self);
}

void warp_barrier() {
  Thread& self = *block.running;
  char& token = self.warp->barrier[self.warp_barriers++ % 2];
  release(token);
  exchange(0);
  acquire(token);
}

int lane() {
  return block.running->lane;
}

const std::uint64_t* exchange(std::uint64_t value) {
  Thread& self = *block.running;
  Warp& warp = *self.warp;
  const std::uint64_t* given = warp.given[self.exchanges % 2];
  warp.given[self.exchanges++ % 2][self.lane] = value;
  if (++warp.exchanging < kLanes) {
    wait(self);
  } else {
    warp.exchanging = block.polls = 0;
    warp.ready = ~0u;
  }
  return given;
}

}  // namespace emulated
