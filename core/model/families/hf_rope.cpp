// RoPE of config.json: rope_parameters, or the older rope_theta and rope_scaling (SPEC-families
// §0).
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/model/families/hf_config.h"

namespace kappascope::hf {
namespace {

std::string same(std::string_view name) {
  return std::string(name);
}
bool never(std::string_view) {
  return false;
}

// The canonical form of a configuration.
Json described(const RotarySpec& spec) {
  constexpr std::array<const char*, 6> kTypes = {"default", "linear", "dynamic",
                                                 "llama3",  "yarn",   "longrope"};
  Json text{{"rope_type", kTypes[std::size_t(spec.scaling)]}, {"rope_theta", spec.base}};
  if (spec.scaling == RotaryScaling::none) { return text; }
  text["factor"] = spec.factor;
  if (spec.scaling == RotaryScaling::linear || spec.scaling == RotaryScaling::dynamic) {
    return text;
  }
  text["original_max_position_embeddings"] = spec.context;
  if (spec.scaling == RotaryScaling::longrope) {
    text.erase("factor");
    text["short_factor"] = spec.short_factor;
    text["long_factor"] = spec.long_factor;
    text["amplitude"] = {spec.amplitude, spec.long_amplitude};
  } else if (spec.scaling == RotaryScaling::llama3) {
    text["low_freq_factor"] = spec.low_frequency;
    text["high_freq_factor"] = spec.high_frequency;
  } else {
    text["attention_factor"] = spec.amplitude;
    text["beta_fast"] = spec.beta_fast;
    text["beta_slow"] = spec.beta_slow;
    text["truncate"] = spec.truncate;
  }
  return text;
}

double grown(double factor, double scale) {
  return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

// What a head turns of itself; null: all of it, unlike where the field is absent.
void read_share(Fields& fields, double& share) {
  if (fields.is_null("partial_rotary_factor")) { share = 1; }
  fields.number("partial_rotary_factor", share, 0, true);
}

// One object of RoPE parameters.
class RotaryReader {
 public:
  // `prefix`: of its fields in messages. `root`: the configuration, where its fields count too.
  RotaryReader(const Json& object, std::string prefix, const Sizes& sizes, Faults& faults,
               std::string_view family, const RotaryDefaults& defaults = {})
      : prefix_(std::move(prefix)),
        names_{prefix_.c_str(), same, never, nullptr, ExitCode::damaged, family},
        fields_(object, faults, names_),
        faults_(faults),
        sizes_(sizes),
        defaults_(defaults) {}

  // `base`, `share`, `context`: of the root, or what counts where nothing is said. Base 0: must be
  // said. `context_first`: it beats the object's.
  RotarySpec read(double base, double share, double context, bool context_first,
                  const Json* truncate) {
    RotarySpec spec;
    spec.pairs = defaults_.pairs;
    spec.base = base;
    base == 0 ? needed("rope_theta", spec.base) : fields_.number("rope_theta", spec.base, 0, true);
    spec.width = turned_width(share);
    const bool newer = fields_.find("rope_type") != nullptr;
    const bool unsaid = fields_.find("type") == nullptr && fields_.is_null("rope_type");
    if (unsaid) { fields_.refuse("rope_type", "a type of RoPE", Json()); }
    const std::string kind = fields_.text(newer ? "rope_type" : "type").value_or("default");
    if (kind == "default") { return spec; }
    spec.context = context;
    if (defaults_.phi && kind != "longrope") {
      fields_.refuse(newer ? "rope_type" : "type", "default or longrope", Json(kind));
      return spec;
    }
    if (kind == "linear" || kind == "dynamic") {
      spec.scaling = kind == "linear" ? RotaryScaling::linear : RotaryScaling::dynamic;
      if (kind == "dynamic") { spec.context = double(sizes_.context); }
      needed("factor", spec.factor);
      return spec;
    }
    if (kind != "llama3" && kind != "yarn" && kind != "longrope") {
      fields_.refuse(newer ? "rope_type" : "type",
                     "one of default, linear, dynamic, llama3, yarn, longrope", Json(kind));
      return spec;
    }
    if (!context_first) {
      fields_.number("original_max_position_embeddings", spec.context, 0, true);
    }
    if (kind == "longrope") {
      longrope(spec);
    } else {
      kind == "yarn" ? yarn(spec, truncate) : llama3(spec);
    }
    return spec;
  }

 private:
  std::int64_t turned_width(double share) {
    read_share(fields_, share);
    const auto width = std::int64_t(double(sizes_.head_width) * std::min(share, 1.0));
    if (share != 1 && !defaults_.partial) {
      fields_.refuse("partial_rotary_factor", "1", Json(share));
    } else if (share > 1 || width < 2 || width % 2 != 0) {
      fields_.refuse("partial_rotary_factor",
                     join_words("a share of ", sizes_.head_width, " that is an even number"),
                     Json(share));
      return 2;
    }
    return width;
  }

  void needed(const char* field, double& value) {
    if (fields_.find(field) == nullptr) {
      faults_.add(ExitCode::damaged, "", prefix_, field, " is missing; expected a number");
    }
    fields_.number(field, value, 0, true);
  }

  void llama3(RotarySpec& spec) {
    spec.scaling = RotaryScaling::llama3;
    needed("factor", spec.factor);
    needed("low_freq_factor", spec.low_frequency);
    needed("high_freq_factor", spec.high_frequency);
    if (spec.high_frequency <= spec.low_frequency) {
      fields_.refuse("high_freq_factor", "more than low_freq_factor", Json(spec.high_frequency));
    }
  }

  // [n/2] numbers > 0.
  std::vector<double> factors(const char* field, std::int64_t pairs) {
    std::vector<double> result(std::size_t(pairs), 1.0);
    const Json* found = fields_.find(field);
    if (found == nullptr) {
      faults_.add(ExitCode::damaged, "", prefix_, field, " is missing; expected ", pairs,
                  " numbers");
      return result;
    }
    const auto fits = [](const Json& value) {
      return value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0;
    };
    if (!found->is_array() || std::ssize(*found) != pairs ||
        !std::all_of(found->begin(), found->end(), fits)) {
      fields_.refuse(field, join_words(pairs, " numbers > 0"), *found);
      return result;
    }
    return found->get<std::vector<double>>();
  }

  // In PhiMoE the factors of short calls hold for long ones, too.
  void longrope(RotarySpec& spec) {
    spec.scaling = RotaryScaling::longrope;
    spec.short_factor = factors("short_factor", spec.width / 2);
    spec.long_factor = factors("long_factor", spec.width / 2);
    if (defaults_.phi) {
      spec.long_factor = spec.short_factor;
      needed("short_mscale", spec.amplitude);
      needed("long_mscale", spec.long_amplitude);
      return;
    }
    double factor = double(sizes_.context) / spec.context;
    fields_.number("factor", factor, 0, true);
    if (factor > 1) { spec.amplitude = std::sqrt(1 + std::log(factor) / std::log(spec.context)); }
    fields_.number("attention_factor", spec.amplitude, 0, false);
    if (!std::isfinite(spec.amplitude)) {
      fields_.refuse("original_max_position_embeddings", "more than 1", Json(spec.context));
      spec.amplitude = 1;
    }
    spec.long_amplitude = spec.amplitude;
  }

  void yarn(RotarySpec& spec, const Json* truncate) {
    spec.scaling = RotaryScaling::yarn;
    if (fields_.is_null("factor")) {
      spec.factor = double(sizes_.context) / spec.context;
    } else {
      needed("factor", spec.factor);
    }
    // 0 counts as absent.
    double fast = 0, slow = 0, one = 0, all = 0;
    fields_.number("beta_fast", fast, 0, false);
    fields_.number("beta_slow", slow, 0, false);
    fields_.number("mscale", one, 0, false);
    fields_.number("mscale_all_dim", all, 0, false);
    if (fast > 0) { spec.beta_fast = fast; }
    if (slow > 0) { spec.beta_slow = slow; }
    spec.amplitude = one > 0 && all > 0 ? grown(spec.factor, one) / grown(spec.factor, all)
                                        : grown(spec.factor, 1);
    fields_.number("attention_factor", spec.amplitude, 0, false);
    if (truncate != nullptr) {  // null is false, not absent
      spec.truncate = *truncate == true;
      if (!truncate->is_boolean() && !truncate->is_null()) {
        fields_.refuse("truncate", "true or false", *truncate);
      }
    }
    if (spec.base == 1) { fields_.refuse("rope_theta", "another base than 1", Json(spec.base)); }
  }

  const std::string prefix_;
  const FieldNames names_;
  Fields fields_;
  Faults& faults_;
  const Sizes& sizes_;
  const RotaryDefaults defaults_;
};

const Json* truncate_in(const Json& object) {
  const auto found = object.find("truncate");
  return found == object.end() ? nullptr : &*found;
}

}  // namespace

std::pair<const char*, const Json*> Config::rope_object(const Json& absent) {
  static const Json kNone = Json::object();
  const Json* scaling = fields_.find("rope_scaling");
  const Json* parameters = fields_.find("rope_parameters");
  const bool scaled = scaling != nullptr && !(scaling->is_object() && scaling->empty());
  const Json& found = scaled ? *scaling : parameters != nullptr ? *parameters : absent;
  const char* name = scaled ? "rope_scaling" : "rope_parameters";
  if (!found.is_null() && !found.is_object()) { fields_.refuse(name, "an object", found); }
  return {name, found.is_object() ? &found : &kNone};
}

double Config::latent_scale() {
  const auto [name, used] = rope_object(nullptr);
  const auto word = [&, used = used](const char* field) { return used->value(field, Json()); };
  const Json kind = word("rope_type").is_null() ? word("type") : word("rope_type");
  const Json all = word("mscale_all_dim"), factor = word("factor");
  if (kind.is_null() || kind == "default" || all.is_null() || all == 0) { return 1; }
  if (!all.is_number() || !factor.is_number()) {
    fields_.refuse(name, "numbers as factor and mscale_all_dim", *used);
    return 1;
  }
  const double scale = grown(factor.get<double>(), all.get<double>());
  return scale * scale;
}

RotarySpec Config::rotary(const Sizes& sizes, const RotaryDefaults& defaults) {
  double base = defaults.base, share = defaults.share, context = double(sizes.context);
  fields_.number("rope_theta", base, 0, true);
  read_share(fields_, share);
  const bool own_context = fields_.find("original_max_position_embeddings") != nullptr;
  fields_.number("original_max_position_embeddings", context, 0, true);
  for (const char* said :
       {"rope_theta", "partial_rotary_factor", "original_max_position_embeddings"}) {
    fields_.forget(said);
  }
  const auto [name, used] = rope_object(defaults.parameters);
  RotarySpec spec =
      RotaryReader(*used, join_words(name, "."), sizes, faults_, names_.family, defaults)
          .read(base, share, context, own_context, truncate_in(*used));
  Json said = described(spec);
  if (defaults.partial) {
    said["partial_rotary_factor"] = double(spec.width) / double(sizes.head_width);
  }
  fields_.record("rope_parameters", std::move(said));
  return spec;
}

RotarySpec Config::rotary_of(const char* layer_type, const Sizes& sizes, double absent_base) {
  const Json* parameters = fields_.find("rope_parameters");
  const Json none = Json::object();
  const Json* used = &none;
  if (parameters != nullptr) {
    const auto found = parameters->is_object() ? parameters->find(layer_type) : parameters->end();
    if (!parameters->is_object() || found == parameters->end() || !found->is_object()) {
      fields_.refuse("rope_parameters", join_words("an object with ", layer_type, " in it"),
                     *parameters);
    } else {
      used = &*found;
      absent_base = 0;
    }
  }
  RotarySpec spec =
      RotaryReader(*used, join_words("rope_parameters.", layer_type, "."), sizes, faults_,
                   names_.family)
          .read(absent_base, 1, double(sizes.context), false,
                // The reference looks for it in the outer object.
                parameters != nullptr && parameters->is_object() ? truncate_in(*parameters)
                                                                 : nullptr);
  Json all = fields_.resolved().value("rope_parameters", Json::object());
  all[layer_type] = described(spec);
  fields_.record("rope_parameters", all);
  return spec;
}

}  // namespace kappascope::hf
