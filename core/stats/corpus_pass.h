// Adds the calls of a corpus up while the model runs them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/engine/probe.h"
#include "core/engine/run_plan.h"
#include "core/model/model.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {

// A document, or a piece of one, in a call.
struct CallText {
  std::int64_t begin = 0, end = 0;  // in ids; the call's texts follow each other
  std::uint64_t document = 0;       // document_key()
  std::string domain;               // "": none
  bool ends = true;                 // it has the document's last token
  std::int64_t position = 0;        // of its first token in the document
};

// One call of the model on documents of a corpus.
struct CorpusCall {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> bytes;  // of each token's text; 0: it is not of the text (BOS …)
  std::vector<CallText> texts;      // cover ids
  std::int64_t first_counted = 0;   // tokens before it are context, counted in the call before
  std::int32_t next_id = -1;        // the token after the last one where its document goes on
  std::int32_t next_bytes = 0;      // of that one
  // Of ids 1: statistics are of it, losses where it is predicted; empty: of all. next_counted: of
  // that one, likewise.
  std::vector<std::uint8_t> counted;
  bool next_counted = true;

  bool counts(std::int64_t t) const { return counted.empty() || counted[t] != 0; }
};

// What a pass adds up that needs the values of every gate unit.
struct CorpusGates {
  bool counted = false;  // calls say which tokens count, and sums are of theirs
  bool effect = false;   // the κ effect by its size, CorpusTotals::effect
  bool overlap = false;  // of calls (--window): what of a call counts did not fill its seats alone
};

// Totals of the calls that it has seen the end of: one that fails or is stopped adds nothing.
class CorpusPass final : public Probe {
 public:
  // Totals are for every MoE layer of `model` in every pass of `plan`; both must outlive it.
  // `seed`: of the resamples.
  CorpusPass(const Model& model, const RunPlan& plan, std::uint64_t seed, CorpusGates gates = {});

  void begin(const CorpusCall& call);
  // The call has run. Throws what a tap ran into.
  void end();
  CorpusTotals& totals() { return totals_; }
  const Failure& failure() const { return failure_; }

  ProbeWants wants() const noexcept override;
  bool moe(const MoeTap& tap) noexcept override;
  bool dense(const DenseTap& tap) noexcept override;
  bool shared(const SharedTap& tap) noexcept override;
  bool next_token(const NextTokenTap& tap) noexcept override;

 private:
  // What one document of the call did in one row, or its losses.
  struct DocumentRow {
    std::vector<std::int64_t> assigned;  // [E]
    double kappa = 0;                    // Σ kappa_mean over its slots that ran
    std::int64_t kappa_count = 0;
  };
  struct Losses {
    double nll = 0;
    std::int64_t count = 0;
  };

  std::size_t row_of(const MoeTap& tap) const;
  void add_row(const MoeTap& tap);
  void add_numbers(const RowTokens& tokens, RowTotals& row);
  void add_sums(const MoeTap& tap, RowTotals& row);
  void add_effects(const MoeTap& tap, const RowTokens& tokens);
  void add_capped(const MoeTap& tap, const RowTokens& tokens, std::size_t place);
  void add_documents(const RowTokens& tokens, std::int64_t first, RowTotals& row);
  void add_tokens(const RowTokens& tokens, std::int64_t first, RowTotals& row);
  void add_contexts(const RowTokens& tokens, std::int64_t first, std::size_t place);
  TokenContext context_at(const CallText& text, std::int64_t at, std::uint64_t hash) const;
  void add_losses(const NextTokenTap& tap);
  void resample(std::size_t text, const DocumentRow& document, RowTotals& row);
  std::vector<TokenSpan> texts_of(std::int64_t first, std::int64_t tokens) const;
  template <typename Work>
  bool guarded(Work work) noexcept;

  const RunPlan& plan_;
  const CorpusGates gates_;
  CorpusTotals totals_, added_;  // added_: by the call that is running
  const CorpusCall* call_ = nullptr;
  std::vector<std::vector<std::uint8_t>> weights_;  // [texts][B] of its documents in the resamples
  std::vector<Losses> losses_;                      // [texts]
  std::vector<std::int32_t> before_, here_;         // first choices of the row before and of this
  std::vector<std::size_t> domain_of_;              // [texts]
  Failure failure_;
};

}  // namespace kappascope
