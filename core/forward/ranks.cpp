// Ranks by LibTorch's c10d: a TCP store where they meet and leave word, and a Gloo group for what
// they exchange.
#include "core/engine/ranks.h"

#include <ATen/ATen.h>
#include <c10/util/Logging.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "core/forward/guarded.h"

namespace kappascope {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using StorePlace = c10::intrusive_ptr<c10d::Store>;

constexpr auto kArrival = 300s;  // until all ranks must have started
constexpr auto kOneTry = 2s;     // of reaching the store
constexpr auto kPause = 100ms;   // between two looks
constexpr auto kLastWord = 2s;   // in which ranks that are left say so
// One may have hours of work left when another waits for it; that one has ended its connection
// tells.
constexpr auto kExchange = 24h;

std::string key_of(const char* what, int rank) {
  return join_words(what, "/", rank);
}

void require_going(Progress& progress, int done, int total) {
  require(progress.update(Stage::open, std::uint64_t(done), std::uint64_t(total)),
          ExitCode::interrupted, {}, "interrupted while waiting for other ranks");
}

// Why the store cannot be reached or opened.
[[noreturn]] void fail_to_meet(const RankPlace& place, const std::string& reason) {
  require(
      reason.find("EADDRINUSE") == std::string::npos && reason.find("in use") == std::string::npos,
      ExitCode::io, {}, "MASTER_PORT ", place.port,
      " is in use on this machine; expected a free port, the same for all ranks");
  fail(ExitCode::io, {}, "rank ", place.rank, " of ", place.size, " does not reach rank 0 at ",
       place.address, ":", place.port, ": ", reason);
}

StorePlace open_store(const RankPlace& place, Progress& progress) {
  c10d::TCPStoreOptions options;
  options.port = place.port;
  options.isServer = place.rank == 0 && !place.store_is_there;
  options.waitWorkers = false;
  options.timeout = kOneTry;
  for (const auto end = Clock::now() + kArrival;;) {
    require_going(progress, 0, place.size);
    try {
      return c10::make_intrusive<c10d::TCPStore>(place.address, options);
    } catch (const c10::Error& error) {
      if (options.isServer || Clock::now() > end) { fail_to_meet(place, first_line(error)); }
    }
    std::this_thread::sleep_for(kPause);
  }
}

// Comes back when every rank has left word of `what`.
void await_all(const char* what, const RankPlace& place, c10d::Store& store, Progress& progress) {
  std::vector<int> missing;
  for (const auto end = Clock::now() + kArrival;;) {
    missing.clear();
    for (int rank = 0; rank < place.size; ++rank) {
      if (!store.check({key_of(what, rank)})) { missing.push_back(rank); }
    }
    if (missing.empty()) { return; }
    require_going(progress, place.size - int(missing.size()), place.size);
    if (Clock::now() > end) { break; }
    std::this_thread::sleep_for(kPause);
  }
  std::string names;
  for (const int rank : missing) { names += join_words(names.empty() ? "" : ", ", rank); }
  fail(ExitCode::io, {}, "expected ", place.size, " ranks within ", kArrival.count(),
       " seconds; missing: ", names);
}

// Comes back when every rank is there.
void meet(const RankPlace& place, c10d::Store& store, Progress& progress) {
  require(store.add(key_of("came", place.rank), 1) == 1, ExitCode::usage, {}, "RANK ", place.rank,
          " is there already; expected a number of its own for every rank, and MASTER_PORT ",
          place.port, " for no other run");
  await_all("came", place, store, progress);
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> open_group(const RankPlace& place,
                                                      const StorePlace& store) {
  auto options = c10d::ProcessGroupGloo::Options::create(kExchange);
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(
      interface && *interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                              : c10d::ProcessGroupGloo::createDefaultDevice());
  return c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::PrefixStore>("gloo", store), place.rank, place.size, options);
}

template <typename Value>
at::Tensor tensor_of(std::span<Value> values) {
  using Plain = std::remove_const_t<Value>;
  const auto type = std::is_same_v<Plain, std::byte> ? at::kByte
                    : std::is_same_v<Plain, float>   ? at::kFloat
                    : std::is_same_v<Plain, double>  ? at::kDouble
                                                     : at::kLong;
  return at::from_blob(const_cast<Plain*>(values.data()), {std::ssize(values)}, type);
}

class GlooRanks final : public Ranks {
 public:
  GlooRanks(const RankPlace& place, Progress& progress) : place_(place) {
    const StorePlace all = open_store(place, progress);
    all->setTimeout(kArrival);
    store_ = c10::make_intrusive<c10d::PrefixStore>(
        join_words("kappascope/attempt_", place.attempt), all);
    meet(place, *store_, progress);
    group_ = open_group(place, store_);
    // One that left now would break the connections that others are still making.
    store_->set(key_of("connected", place.rank), "1");
    await_all("connected", place, *store_, progress);
  }

  int rank() const noexcept override { return place_.rank; }
  int size() const noexcept override { return place_.size; }

  Failure sum(std::span<float> values) noexcept override { return sum_of(values); }
  Failure sum(std::span<double> values) noexcept override { return sum_of(values); }
  Failure sum(std::span<std::int64_t> values) noexcept override { return sum_of(values); }

  Failure send(int to, std::span<const std::byte> bytes) noexcept override {
    return exchanged([&] {
      const std::int64_t size = std::ssize(bytes);
      give(to, std::span(&size, 1));
      if (size > 0) { give(to, bytes); }
    });
  }

  Failure receive(int from, std::vector<std::byte>& bytes) noexcept override {
    return exchanged([&] {
      std::int64_t size = 0;
      take(from, std::span(&size, 1));
      bytes.resize(std::size_t(size));
      if (size > 0) { take(from, std::span(bytes)); }
    });
  }

  Failure wait() noexcept override {
    return exchanged([&] { group_->barrier()->wait(); });
  }

  bool lost_another() const noexcept override { return lost_.code != ExitCode::ok; }

  bool leave(const Failure& failure) noexcept override {
    try {
      if (!lost_another()) {
        lost_ = failure;
        speaks_ = rank() == 0;
        store_->set(key_of("ended", rank()), join_words(int(failure.code), " ", failure.line()));
        group_.reset();  // what the others wait for fails, and they look into the store
      }
      if (rank() == 0 && !place_.store_is_there) { linger(); }
    } catch (const std::exception&) {}
    return speaks_;
  }

 private:
  template <typename Value>
  Failure sum_of(std::span<Value> values) noexcept {
    return exchanged([&] {
      std::vector<at::Tensor> tensors = {tensor_of(values)};
      group_->allreduce(tensors)->wait();
    });
  }

  template <typename Value>
  void give(int to, std::span<const Value> values) {
    std::vector<at::Tensor> tensors = {tensor_of(values)};
    group_->send(tensors, to, 0)->wait();
  }
  template <typename Value>
  void take(int from, std::span<Value> values) {
    std::vector<at::Tensor> tensors = {tensor_of(values)};
    group_->recv(tensors, from, 0)->wait();
  }

  template <typename Work>
  Failure exchanged(Work&& work) noexcept {
    if (lost_another()) { return lost_; }
    try {
      work();
    } catch (const c10::Error& error) {
      lost_ = find_lost(first_line(error));
    } catch (const std::exception& error) { lost_ = find_lost(printable(error.what())); }
    return lost_;
  }

  // Who has ended, when an exchange has failed; and whether this rank is to say so.
  Failure find_lost(const std::string& reason) noexcept {
    std::vector<bool> here(place_.size);
    Failure found;
    try {
      group_.reset();  // others that still wait for this rank learn it too
      here[rank()] = true;
      store_->set(key_of("here", rank()), "1");
      found = look_around(here);
      store_->add("looked", 1);
    } catch (const std::exception&) {  // the store is gone with its owner
      if (place_.store_is_there) {
        speaks_ = rank() == 0;
        return {ExitCode::io, "torchrun has ended"};
      }
      here[0] = false;
      speaks_ = rank() == 1;
      return ended(0);
    }
    speaks_ = std::find(here.begin(), here.end(), true) - here.begin() == rank();
    if (found) { return found; }
    const auto gone = std::find(here.begin(), here.end(), false) - here.begin();
    if (gone < size()) { return ended(int(gone)); }
    return {ExitCode::io, join_words("the ranks cannot exchange what they have: ", reason)};
  }

  Failure ended(int gone) const {
    return {ExitCode::io, join_words("rank ", gone, " of ", size(),
                                     " has ended without a word: it was killed, or its machine "
                                     "is lost")};
  }

  // The failure that a rank has left word of, and which ranks are still here.
  Failure look_around(std::vector<bool>& here) {
    for (const auto end = Clock::now() + kLastWord;;) {
      for (int other = 0; other < size(); ++other) {
        if (here[other]) { continue; }
        if (store_->check({key_of("ended", other)})) { return word_of(other, here); }
        here[other] = store_->check({key_of("here", other)});
      }
      if (std::find(here.begin(), here.end(), false) == here.end() || Clock::now() > end) {
        return {};
      }
      std::this_thread::sleep_for(kPause / 2);
    }
  }

  Failure word_of(int other, std::vector<bool>& here) {
    const std::string word = store_->get_to_str(key_of("ended", other));
    here[0] = true;  // it has said so itself, or is here and will
    const auto code = ExitCode(std::atoi(word.c_str()));
    return {code, join_words("rank ", other, ": ",
                             word.substr(std::min(word.size(), word.find(' ') + 1)))};
  }

  // The store ends with this process: all but the rank that ended first must have looked into it.
  void linger() {
    for (const auto end = Clock::now() + kLastWord; Clock::now() < end;) {
      if (store_->add("looked", 0) >= size() - 1) { return; }
      std::this_thread::sleep_for(kPause / 2);
    }
  }

  const RankPlace place_;
  StorePlace store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  Failure lost_;
  bool speaks_ = false;
};

}  // namespace
}  // namespace kappascope

extern "C" __attribute__((visibility("default"))) bool kappascope_ranks(
    std::uint32_t version, const kappascope::RankPlace* place, kappascope::Progress* progress,
    std::unique_ptr<kappascope::Ranks>* ranks, kappascope::Failure* failure) {
  using namespace kappascope;
  if (version != kRanksVersion) { return false; }
  *failure = guarded([&] {
    c10::initLogging();
    *ranks = std::make_unique<GlooRanks>(*place, *progress);
  });
  return true;
}
