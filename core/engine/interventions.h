// What a run changes in a model: a list of edits, each with one text form for the command line, the
// session, captions and a trace's meta (SPEC §9).
//
//   NAME=VALUE[@SCOPE]     SCOPE = LAYERS[:EXPERTS], e.g. kappa-mul=2@3-5,7:0   kappa=off@*:1
//   ablate=LAYER:EXPERTS[:zero|reroute|mean]     route=LAYER:TOKENS:EXPERTS     routes=FILE
//   patch=TRACE:LAYERS:TOKENS
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// In order of application.
enum class Edit : std::uint8_t {
  kappa_bias,   // b := value
  kappa_scale,  // α := value
  kappa_mul,    // κ := value·κ, after the bound
  kappa,        // κ := value; "off" is 1
  top_k,        // experts a token
  capacity,     // the factor; "off": nothing is dropped
  loop,         // passes over the stack
  ablate,       // experts without their own output
  routes,       // the experts of every token are those of a file
  route,        // some tokens' first slots go to these experts
  gate_keep,    // only the largest gate activations of a (token, expert) act
  patch,        // some tokens' outputs of MoE layers are those of another run
  budget,       // soft routing: Σ of a token's weights in a layer
  threshold,    // soft routing: an expert runs where its weight is above it
  temperature   // soft routing: of the logits
};

enum class Ablation : std::uint8_t {
  zero,     // the output is 0; routing and weights stay
  reroute,  // the selection score is −∞
  mean      // the output is its mean over the tokens of the call that it runs for
};

struct Intervention {
  Edit edit = Edit::kappa;
  std::optional<double> value;        // nothing: "off"
  std::vector<std::int64_t> layers;   // of the model, ascending; empty: all
  std::vector<std::int64_t> experts;  // ascending, of route in the order of slots; empty: all
  std::vector<std::int64_t> tokens;   // of route and patch: of the text, ascending; empty: all
  Ablation ablation = Ablation::zero;
  std::string file;  // of routes and patch, as given

  std::string text() const;  // canonical
  bool operator==(const Intervention&) const = default;
};

// What the value of an edit is.
enum class EditValue : std::uint8_t {
  fraction,  // any number
  count,     // a whole number
  text       // a list or the name of a file
};

// One kind of edit, for help and parsing.
struct EditKind {
  Edit edit;
  const char* name;   // "kappa-mul"
  const char* value;  // "F": how help names its value
  const char* help;   // one line
  bool off;           // "off" is a value
  bool experts;       // a scope may name experts
  bool layers;        // a scope may name layers
  EditValue takes;    // beside "off"
};
std::span<const EditKind> edit_kinds();
const EditKind& kind_of(Edit edit);

// Of "kappa-mul" and "2@3-5". Errors: usage, saying what was expected.
Intervention parse_intervention(std::string_view name, std::string_view value);
// Of "kappa-mul=2@3-5".
Intervention parse_intervention(std::string_view word);

// In order of application: by kind, within one kind as given.
std::vector<Intervention> in_order(std::vector<Intervention> list);
std::vector<std::string> canonical_words(const std::vector<Intervention>& list);

}  // namespace kappascope
