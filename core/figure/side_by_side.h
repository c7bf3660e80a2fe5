// Figures of one trace beside each other, for comparison.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// Gives colours the same meaning in all: the ends of each panel's scale become the widest that any
// of the figures has. Figures of one catalogue entry, any number.
void share_colours(std::vector<Figure>& figures);

// The notes of figures of several runs: those of all once, the others named by their run.
std::vector<std::string> notes_of_runs(std::span<const Figure* const> figures,
                                       std::span<const std::string> runs);

// One figure with the panels of all: each group of panels is headed by the run's name, colours mean
// the same in all, notes are named where they differ. `title` and `subtitle`: above all; what a
// figure's own title says beyond it goes to its panels. Figures of one catalogue entry, at least
// one, `runs` of the same number.
Figure side_by_side(std::vector<Figure> figures, const std::vector<std::string>& runs,
                    const std::string& title, const std::string& subtitle);

}  // namespace kappascope
