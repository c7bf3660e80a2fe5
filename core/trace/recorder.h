// Fills a trace.npz from the taps of a forward pass, streaming: what a layer gave is on its way to
// the file before the next layer runs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/engine/probe.h"
#include "core/engine/run_plan.h"
#include "core/model/model.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/npz.h"

namespace kappascope {

class LogitsFile;

// expert_index is int16 in a trace.
inline constexpr std::int64_t kMostRecordedExperts = 32767;

// How a text longer than sequence_len was cut (`--window`); one chunk otherwise.
struct TextChunk {
  std::int64_t begin = 0;           // first token of the call
  std::int64_t first_recorded = 0;  // the tokens before it were recorded by the chunk before
  std::int64_t end = 0;
};

// Which text a trace is of.
struct TextDocument {
  std::string source;      // "prompt", "standard input" or the path as given
  std::int64_t index = 0;  // place in its batch
  std::string sha256;      // of the text's bytes; ids: of their decimals joined by one space
};

// The text as the model is fed it, with what the trace says of each token.
struct TokenizedText {
  TextDocument document;
  std::vector<Token> tokens;
  std::vector<std::string> bytes;  // exact bytes of each token; "" when there is no tokenizer
  std::vector<TextChunk> chunks;
  // Of a chat: [T] 1: the assistant's, and how it was rendered (ChatFormat); else empty.
  std::vector<std::uint8_t> assistant;
  std::string chat, chat_sha256;
  // Of a generated text: [T] 0: the prompt's, 1: generated; and how (the meta's "generation").
  std::vector<std::int8_t> phase;
  Json generation;
};

struct TraceSettings {
  bool record_gates = false, record_logits = false, record_outputs = false;
  bool lens = false;                     // lens_* (SPEC §10)
  const Tokenizer* tokenizer = nullptr;  // of lens_token_text; nullptr: it stays empty
  std::vector<std::int64_t> layers;      // recorded model layers, ascending; empty: all
  std::string command;                   // command line as given, arguments quoted
  std::string tool_version, torch_version;
  std::string engine;  // EngineModel::description(); "" on the CPU
  std::string dtype = "float32", device = "cpu";
  int threads = 1;
  // Of a comparison of two runs of the text: where the one's logits are kept, and what the other
  // compares its own with; nullptr: neither. `against`: the interventions of the kept ones, for the
  // meta.
  LogitsFile* keep_logits = nullptr;
  const LogitsFile* against_logits = nullptr;
  std::vector<std::string> against;
  bool ablation = false;  // there will be an ablation_nll
  Json patching;          // of the meta where there will be a patch_logprob; else null
  // Of chats: what is added up over tokens and gates counts the assistant's alone.
  bool only_assistant = false;

  // The recorded layers of a kind, ascending.
  std::vector<std::int64_t> layers_of(const Architecture& architecture, bool moe) const;
};

class TraceRecorder final : public Probe {
 public:
  // Creates the archive at `path` (a temporary name; the caller renames). `model`, `plan` and
  // `text` must outlive the recorder.
  TraceRecorder(const std::filesystem::path& path, const Model& model, const RunPlan& plan,
                const TokenizedText& text, const TraceSettings& settings);
  ~TraceRecorder() override;

  ProbeWants wants() const noexcept override;
  bool wants_layer(std::int64_t layer) const noexcept override;
  bool moe(const MoeTap& tap) noexcept override;
  bool dense(const DenseTap& tap) noexcept override;
  bool shared(const SharedTap& tap) noexcept override;
  bool lens(const LensTap& tap) noexcept override;
  bool output(const RowsTap& tap) noexcept override;
  bool next_token(const NextTokenTap& tap) noexcept override;

  // ablation_nll of the experts of a layer, in every pass; before finish(). NaN: not tried.
  void set_ablation(std::int64_t layer, const std::vector<double>& change);

  // patch_logprob, [M,T] in the order of the recorded rows; before finish(). NaN: not tried.
  void set_patching(const std::vector<double>& change);

  // Writes what is left and closes. Throws what a tap ran into (disk full …), if any did.
  void finish();
  // Why a tap returned false; code ok when none did.
  const Failure& failure() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes model.npz (schema kappascope.model/1): parameters as stored, and the alignment of routers
// and experts. `path` must not exist.
void write_model_parameters(const std::filesystem::path& path, const Model& model);

}  // namespace kappascope
