// The arrays of trace.npz as a table (SPEC §4): the recorder announces them, the reader checks them
// and `kappascope_meta` describes them, all from here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/error.h"
#include "core/trace/npz.h"

namespace kappascope {

enum class Axis : std::uint8_t {
  token,         // T
  top,           // kTopTokens
  moe_layer,     // M, recorded MoE layers × passes in running order
  expert,        // E
  slot,          // K
  gate,          // I
  kappa_bin,     // kKappaBins
  z_bin,         // kGatePreBins
  dense_layer,   // Md
  dense_gate,    // Id
  vocabulary,    // V
  shared_layer,  // Ms
  lens_layer,    // Ml, recorded layers of any kind × passes
  width,         // H
  none
};
inline constexpr std::size_t kAxes = static_cast<std::size_t>(Axis::none);

std::string_view axis_name(Axis axis);  // as in _ARRAY_DIMENSIONS

// Extent of every axis; −1: not known (yet). Axis::none has none: an internal error.
class Extents {
 public:
  Extents() { values_.fill(-1); }
  std::int64_t& operator[](Axis axis) { return values_[place(axis)]; }
  std::int64_t operator[](Axis axis) const { return values_[place(axis)]; }

 private:
  static std::size_t place(Axis axis) {
    require(axis < Axis::none, ExitCode::internal, Place{}, "extent of an unknown axis");
    return static_cast<std::size_t>(axis);
  }

  std::array<std::int64_t, kAxes> values_;
};

// Which arrays are recorded together; moe_optional: each by itself, beside those of `moe`.
enum class ArrayGroup : std::uint8_t {
  tokens,
  moe,
  dense,
  gates,
  logits,
  moe_optional,
  shared,
  against,
  chat,
  generated,
  lens,
  outputs
};

struct ArraySchema {
  std::string_view name;
  NpyType type;
  std::array<Axis, 4> axes;  // unused ones none
  ArrayGroup group;
  std::string_view unit;  // "1": a pure number; "": a name or a count
  std::string_view long_name;
  // An array may end after this many axes: parameters of κ are per gate, expert or layer.
  std::size_t least_rank = 4;

  std::size_t rank() const;  // number of axes
  // Extents of the first `rank` axes.
  std::vector<std::int64_t> shape(const Extents& extents, std::size_t rank = 4) const;
};

std::span<const ArraySchema> array_schemas();

// {"_ARRAY_DIMENSIONS": […], "unit": …, "long_name": …}
Json describe_array(std::string_view unit, std::string_view long_name,
                    std::span<const std::string_view> dimensions);
Json describe_array(const ArraySchema& schema, std::size_t rank = 4);

inline constexpr std::string_view kMetaArray = "kappascope_meta";

// The 0-d text array that holds `meta`, and its one item. Sorted keys, no line breaks.
NpyArray meta_array(const std::string& text);
std::string meta_text(const Json& meta);

// The document of an archive, whose "schema" must be `schema`. Not there, or of another kind:
// damaged; another version of it ("kappascope.trace/2"): unsupported.
Json read_meta(const NpzReader& file, std::string_view schema);

// Code points of the longest item, at least 1.
std::int64_t text_width(std::span<const std::string> items);

}  // namespace kappascope
