// Words of the command line that several verbs share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/engine.h"

namespace kappascope {

// Parses `words` with `app`. Wrong words: Error (usage), one line. Returns false when help was
// asked for and printed: nothing is left to do. From then on the process is in its sandbox
// (core/sandbox.h).
enum class WordsOf : std::uint8_t { verb, window };
bool parse_words(CLI::App& app, const std::vector<std::string>& words,
                 WordsOf whose = WordsOf::verb);

// Checks of an option's number: CLI11's own name the largest double that there is.
CLI::Validator at_least_zero();
CLI::Validator over_zero();

// Without these characters in front and behind.
std::string_view trimmed(std::string_view text, std::string_view blanks = " \t\r\n");

// "0-3,7" → {0,1,2,3,7}, ascending, each once. Not of that form, or a layer ≥ n_layer: usage,
// naming the option.
std::vector<std::int64_t> parse_layers(std::string_view text, std::int64_t n_layer,
                                       std::string_view option = "--layers");

// "npz,csv" → {"npz","csv"}. A word that is not among `known`: usage.
std::vector<std::string> parse_list(std::string_view option, std::string_view text,
                                    const std::vector<std::string>& known);

// --threads N into `threads`: of Torch, and of all work beside it from then on.
void add_threads(CLI::App& app, int& threads);

// How the forward pass runs: the words that `run` and `selftest` share.
struct ComputeOptions {
  std::string device = "auto";  // cuda where automatic_device() says so, else cpu
  std::string dtype = "float32";
  int threads = 0;         // 0: usable_threads()
  std::string memory;      // "8GB"; "": what there is
  std::string gpu_memory;  // "": all weights are there
  bool strict = false;     // weights that are not finite are an error (damaged), not a warning

  void add_to(CLI::App& app);
  // Unknown device, or --gpu-memory with the CPU: usage; a GPU where this build knows none: gpu.
  void check_device() const;
  bool automatic() const { return device == "auto"; }
  LoadOptions load_options() const;  // a size that is none: usage
  // The device as the trace records it: "cpu", "cuda", "cuda:1".
  std::string name_of(const LoadOptions& loaded) const;
};

// How a checkpoint that can be read in several ways is read: the words that `info` and `run` share.
struct ReadingOptions {
  std::string slot, sft, formula = "auto";  // "": not said

  void add_to(CLI::App& app);
  KappaChoices choices() const;
};

}  // namespace kappascope
