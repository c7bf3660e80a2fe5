// What is looked at: the current trace and the one selection of all views, with the way back.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "app/gui/documents.h"
#include "core/figure/figure.h"

namespace kappascope::gui {

// How a view is reached. Steps to a neighbour that follow each other are one for back().
enum class Move { jump, step };

// What back and forward step through.
struct ViewState {
  DocumentId trace = -1;                // the current one
  Subject selection;                    // of it, one for all views
  std::string token_colour = "nll";     // id of a token quantity
  bool colour_by_layer = false;         // of the selected layer instead of over all
  std::string figure = "kappa-tokens";  // the figure that was looked at last
  bool operator==(const ViewState&) const = default;
};

class History {
 public:
  using TraceOf = std::function<const Trace*(DocumentId)>;  // null: not open
  explicit History(TraceOf trace_of) : trace_of_(std::move(trace_of)) { past_.push_back(view_); }

  const ViewState& view() const { return view_; }
  // The selection is left with what the trace has; the view before is remembered.
  void set(ViewState view, Move move);
  // Selects what a click or a key named; the rest of the selection stays where it still fits (an
  // expert of the row, a token of the text). The expert follows: where none was named it is that of
  // the token's slot in the row.
  void pick(const Subject& named, Move move);
  bool can_go_back() const { return at_ > 0; }
  bool can_go_forward() const { return at_ + 1 < past_.size(); }
  void go_back();
  void go_forward();
  // Neither back nor forward leads to `trace`, which is closed; `instead` is current where that
  // was.
  void forget(DocumentId trace, DocumentId instead);
  void refit();  // the current trace was replaced by another one of its number

 private:
  void settle();

  TraceOf trace_of_;
  ViewState view_;
  std::vector<ViewState> past_;
  std::size_t at_ = 0;
  bool stepping_ = false;  // the newest entry is of steps, and another may follow
};

}  // namespace kappascope::gui
