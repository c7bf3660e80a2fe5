// What the tokens of a text can be coloured by. To add one: a function and a line in
// the table of the .cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/figure/figure.h"
#include "core/trace/trace.h"

namespace kappascope {

struct TokenColouring;

struct TokenQuantity {
  std::string_view id;
  std::string_view name;  // one line for a person
  enum class Layers : std::uint8_t {
    none,    // of the text alone
    either,  // of one recorded layer, or over all
    one      // of one recorded layer only
  } layers;
  bool slots;               // of one slot of the token
  std::string_view metric;  // section of docs/metrics.md that explains it
  // Sets colours and values of a row of the trace (−1: over all) and, where they matter, a slot.
  void (*fill)(TokenColouring& result, const Trace& trace, std::int64_t row, std::int64_t slot);
};

std::span<const TokenQuantity> token_quantities();

struct TokenColouring {
  std::string id, name;
  ColourScale colours;
  std::vector<float> values;  // [T] for `colours`; NaN: no value
  bool exact = true;          // false: see layer_token_kappa
};

// Quantity `id` of every token at row `row` of the trace; −1: over all of them (mean; κ: geometric
// mean; margin: the smallest; dropped: sum). All NaN where the trace has not recorded it. Unknown
// id, row or slot outside the trace, no layer where one is needed: usage.
TokenColouring token_colouring(const Trace& trace, std::string_view id, std::int64_t row = -1,
                               std::int64_t slot = 0);

}  // namespace kappascope
