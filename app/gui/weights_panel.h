// What the panel "Weights" keeps from frame to frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/gui/workspace.h"
#include "core/figure/figure.h"

namespace kappascope::gui {

// What was read of a model, or of the change to it from another one.
struct WeightTables {
  DocumentId of = -1, from = -1;  // numbers of the models; `from` −1: of one alone
  std::vector<std::pair<std::string, Table>> parts;  // with what they are called
};

struct WeightsPanelState {
  DocumentId from = -1;  // the model whose weights are compared; −1: none
  JobId job = 0;         // that reads them; 0: none runs
  std::shared_ptr<const WeightTables> tables;
  std::size_t part = 0;
  std::string filter;

  // What of the table is shown, and for what this was made.
  const Table* table = nullptr;
  std::string filtered;
  std::size_t column = 0;
  bool descending = false;
  std::vector<std::int64_t> rows;
  std::vector<float> widths;  // em, of each column
};

}  // namespace kappascope::gui
