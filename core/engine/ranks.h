// Processes that do one piece of work together, on one machine or many: who this one is, and what
// they exchange. Started by torchrun, by srun, or by hand with the variables of rank_place().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/engine/progress.h"
#include "core/error.h"

namespace kappascope {

// What a process knows of the others before it meets them.
struct RankPlace {
  int rank = 0, size = 1;
  int size_here = 1;    // ranks on this machine, as far as the environment says
  int rank_here = 0;    // of these
  std::string address;  // where they meet: host and port of a store
  std::uint16_t port = 0;
  bool store_is_there = false;  // torchrun has it; else it is rank 0's
  std::string attempt = "0";    // of torchrun, which may start the ranks again
};

// From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; with neither of the first two, of a step of
// Slurm, from SLURM_PROCID and SLURM_NTASKS. Empty: one process alone. Incomplete, or no numbers
// that fit together: usage, naming the variable.
std::optional<RankPlace> rank_place();

// All ranks call the functions in one order and with spans of one size; each comes back when its
// result is there. Where a rank has ended they fail: with that rank's own message and code, or io
// when it left none, naming the rank. Not safe to use from several threads at once.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int rank() const noexcept = 0;  // 0 … size − 1
  virtual int size() const noexcept = 0;
  // Each value becomes the sum over the ranks: the same bits on all of them, and in every run with
  // as many ranks.
  virtual Failure sum(std::span<float> values) noexcept = 0;
  virtual Failure sum(std::span<double> values) noexcept = 0;
  virtual Failure sum(std::span<std::int64_t> values) noexcept = 0;
  // Bytes, however many, from one rank to another, which waits for them. These two alone are called
  // by the two ranks that they name.
  virtual Failure send(int to, std::span<const std::byte> bytes) noexcept = 0;
  virtual Failure receive(int from, std::vector<std::byte>& bytes) noexcept = 0;
  // Until every rank has come here.
  virtual Failure wait() noexcept = 0;
  // Whether this rank failed because another had ended.
  virtual bool lost_another() const noexcept = 0;
  // This rank ends with that failure: the others learn it where they wait for it, and nothing can
  // be exchanged any more. True where this rank is the one to say so: the lowest that is left.
  virtual bool leave(const Failure& failure) noexcept = 0;
};

inline void require_exchanged(const Failure& failure) {
  if (failure) { throw Error(failure); }
}

inline constexpr std::uint32_t kRanksVersion = 2;  // of this header

// Meets the other ranks, which may take minutes to start; the progress is asked whether to go on.
// Throws Error: io, naming the ranks that did not come, or the port that is in use; interrupted.
std::unique_ptr<Ranks> join_ranks(const RankPlace& place, Progress& progress);

}  // namespace kappascope

// The engine library's third symbol. False where `version` is not its own.
extern "C" bool kappascope_ranks(std::uint32_t version, const kappascope::RankPlace* place,
                                 kappascope::Progress* progress,
                                 std::unique_ptr<kappascope::Ranks>* ranks,
                                 kappascope::Failure* failure);
