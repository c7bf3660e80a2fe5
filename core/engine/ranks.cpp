#include "core/engine/ranks.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace kappascope {
namespace {

const char* variable(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? text : nullptr;
}

int environment_number(const char* name, int least, int most) {
  const char* text = variable(name);
  require(text != nullptr, ExitCode::usage, {}, name,
          " is not set; expected a whole number in it, as torchrun sets it for every rank");
  int value = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  require(error == std::errc() && at == end && value >= least && value <= most, ExitCode::usage, {},
          name, ": expected a whole number from ", least, " to ", most, ", found '", text, "'");
  return value;
}

}  // namespace

std::optional<RankPlace> rank_place() {
  constexpr int kMostRanks = 1 << 20;
  const bool named = variable("RANK") != nullptr || variable("WORLD_SIZE") != nullptr;
  // Slurm names tasks in a batch script too, which is no step of several; a master is ours alone.
  const char* const tasks = variable("SLURM_STEP_NUM_TASKS");
  const bool step = tasks != nullptr && std::strcmp(tasks, "1") != 0;
  const bool slurm = variable("SLURM_PROCID") != nullptr && variable("SLURM_NTASKS") != nullptr &&
                     (step || variable("MASTER_ADDR") != nullptr);
  if (!named && !slurm) { return {}; }
  RankPlace place;
  place.size = environment_number(named ? "WORLD_SIZE" : "SLURM_NTASKS", 1, kMostRanks);
  place.rank = environment_number(named ? "RANK" : "SLURM_PROCID", 0, place.size - 1);
  if (place.size == 1) { return {}; }
  const char* const address = variable("MASTER_ADDR");
  require(address != nullptr, ExitCode::usage, {},
          "MASTER_ADDR is not set; expected the name or address of the machine of rank 0");
  place.address = address;
  place.port = static_cast<std::uint16_t>(environment_number("MASTER_PORT", 1, 65535));
  if (variable("LOCAL_WORLD_SIZE") != nullptr) {
    place.size_here = environment_number("LOCAL_WORLD_SIZE", 1, place.size);
  }
  for (const char* name : {"LOCAL_RANK", "SLURM_LOCALID"}) {
    if (variable(name) == nullptr) { continue; }
    place.rank_here = environment_number(name, 0, place.size - 1);
    break;
  }
  const char* const agent = variable("TORCHELASTIC_USE_AGENT_STORE");
  place.store_is_there = agent != nullptr && std::strcmp(agent, "True") == 0;
  if (const char* attempt = variable("TORCHELASTIC_RESTART_COUNT")) { place.attempt = attempt; }
  return place;
}

}  // namespace kappascope
