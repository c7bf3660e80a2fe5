// What panels show of traces: figures, colours and cards, made by jobs when they are first asked
// for. The newest few are kept, by a key that says all that they depend on.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/gui/documents.h"
#include "app/gui/jobs.h"
#include "core/figure/catalogue.h"
#include "core/figure/counterparts.h"
#include "core/figure/prepared.h"
#include "core/figure/token_quantities.h"
#include "core/stats/difference.h"
#include "core/stats/expert_card.h"
#include "core/stats/token_card.h"

namespace kappascope::gui {

struct ResultKey {
  std::string what = {};                   // id of the figure or of the quantity
  std::vector<DocumentId> traces = {};     // in the order in which they are shown
  FigureChoices choices = {};              // of a figure
  std::array<std::int64_t, 3> place = {};  // of a card: row, token, expert or slot
  auto operator<=>(const ResultKey&) const = default;
};

// Figures of one trace each, side by side: colours mean the same in all.
struct LaneFigures {
  struct Lane {
    DocumentId trace = -1;
    std::string name;  // the run's, among the others
    std::shared_ptr<const PreparedFigure> figure;
  };
  std::vector<Lane> lanes;
};

class Results {
 public:
  // Jobs go to `jobs`; why one failed goes to `say`, on the UI thread.
  Results(JobQueue& jobs, std::function<void(const Failure&)> say);

  // All of these: null while it is being made.
  // One figure of all `shown`, which the figure must take.
  std::shared_ptr<const PreparedFigure> figure(const FigureEntry& entry,
                                               const std::vector<ShownTrace>& shown,
                                               const FigureChoices& choices, Turn turn);
  // One for each of `shown`.
  std::shared_ptr<const LaneFigures> lanes(const FigureEntry& entry,
                                           const std::vector<ShownTrace>& shown,
                                           const FigureChoices& choices, Turn turn);
  std::shared_ptr<const std::vector<std::string>> names(const std::vector<ShownTrace>& shown);
  std::shared_ptr<const Counterparts> counterparts(const ShownTrace& from, const ShownTrace& to);
  std::shared_ptr<const RunDifference> effect(const ShownTrace& edited, const ShownTrace& unedited);
  // `row`: of one layer; −1: over all.
  std::shared_ptr<const TokenColouring> token_colouring(const ShownTrace& of, const std::string& id,
                                                        std::int64_t row, std::int64_t slot);
  std::shared_ptr<const TokenCard> token_card(const ShownTrace& of, std::int64_t token);
  // `expert` −1: the most loaded one of the row.
  std::shared_ptr<const ExpertCard> expert_card(const ShownTrace& of, std::int64_t row,
                                                std::int64_t expert);

  JobStatus figure_job(const std::string& id) const;  // that is making this figure; id 0: none
  void forget(DocumentId trace);                      // nothing made of it is kept
  void forget_stopped();  // figures whose making was stopped: they are made when asked for

 private:
  template <typename T>
  struct Made {
    struct Entry {
      std::shared_ptr<const T> value;
      JobId job = 0;
      std::uint64_t used = 0;
    };
    std::map<ResultKey, Entry> entries;
  };
  template <typename T>
  std::shared_ptr<const T> made(Made<T>& store, const ResultKey& key, std::size_t most,
                                const std::string& title, std::function<T(Progress&)> make,
                                Turn turn = Turn::last);
  template <typename T>
  void forget_in(Made<T>& store, DocumentId trace);

  JobQueue& jobs_;
  std::function<void(const Failure&)> say_;
  Made<PreparedFigure> figures_;
  Made<LaneFigures> lanes_;
  Made<std::vector<std::string>> names_;
  Made<Counterparts> counterparts_;
  Made<RunDifference> effects_;
  Made<TokenColouring> colourings_;
  Made<TokenCard> token_cards_;
  Made<ExpertCard> expert_cards_;
  std::uint64_t clock_ = 0;
};

}  // namespace kappascope::gui
