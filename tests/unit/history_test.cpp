// The selection of the window and the way back.
#include "app/gui/history.h"

#include <gtest/gtest.h>

#include "tests/unit/stats_fixture.h"

namespace kappascope::gui {
namespace {

// Trace 0 of one layer, trace 1 of six; in row m slot k of token t chose expert (m + t + k) % 4.
struct Open {
  HandTrace one{1, 4, 4, 2}, six{6, 5, 4, 2};
  History history{[this](DocumentId id) {
    return id == 0 ? &one.trace : id == 1 ? &six.trace : nullptr;
  }};

  Open() {
    for (HandTrace* hand : {&one, &six}) {
      for (std::int64_t i = 0; i < hand->trace.layers * hand->trace.tokens * 2; ++i) {
        const std::int64_t k = i % 2, t = i / 2 % hand->trace.tokens,
                           m = i / 2 / hand->trace.tokens;
        hand->keep(m, t, k, (m + t + k) % 4);
      }
    }
  }
  const Subject& now() const { return history.view().selection; }
  void look_at(DocumentId trace) {
    ViewState view = history.view();
    view.trace = trace;
    history.set(view, Move::jump);
  }
};

TEST(History, ARowIsSelectedWhereThereIsOne) {
  Open open;
  open.history.pick({.row = 0}, Move::jump);  // of no trace
  EXPECT_FALSE(open.now().any());
  open.look_at(0);
  EXPECT_EQ(open.now(), (Subject{.row = 0, .slot = 0}));
  EXPECT_FALSE(open.history.can_go_back());  // to nothing
  open.look_at(1);
  EXPECT_EQ(open.now(), (Subject{.row = 0, .slot = 0}));
  open.history.pick({.row = 5, .token = 4, .slot = 1, .expert = 3}, Move::jump);
  open.look_at(0);  // has less of everything
  EXPECT_EQ(open.now(), (Subject{.row = 0, .token = -1, .slot = 1, .expert = 3}));
  open.look_at(7);
  EXPECT_FALSE(open.now().any());
}

TEST(History, TheExpertIsThatOfTheSlotUnlessNamed) {
  Open open;
  open.look_at(1);
  for (const Subject& one : {Subject{0, 0, 0, -1}, {0, 1, 0, -1}, {5, 4, 1, -1}, {2, 3, 1, -1}}) {
    open.history.pick(one, Move::jump);
    EXPECT_EQ(open.now().row, one.row);
    EXPECT_EQ(open.now().token, one.token);
    EXPECT_EQ(open.now().slot, one.slot);
    EXPECT_EQ(open.now().expert, (one.row + one.token + one.slot) % 4);
  }
  open.history.pick({.token = 0}, Move::jump);  // in row 2, slot 1
  EXPECT_EQ(open.now(), (Subject{2, 0, 1, 3}));
  open.history.pick({.row = 1, .expert = 2}, Move::jump);
  EXPECT_EQ(open.now(), (Subject{1, 0, 1, 2}));
  open.history.pick({.expert = 4}, Move::jump);  // there is none
  EXPECT_EQ(open.now().expert, -1);
}

TEST(History, StepsInARowAreOneWayBack) {
  Open open;
  open.look_at(1);
  open.history.pick({.token = 1}, Move::jump);
  for (const int token : {2, 3, 4}) { open.history.pick({.token = token}, Move::step); }
  open.history.go_back();
  EXPECT_EQ(open.now().token, 1);
  open.history.go_back();
  EXPECT_EQ(open.now().token, -1);
  EXPECT_FALSE(open.history.can_go_back());
  open.history.go_forward();
  open.history.go_forward();
  EXPECT_EQ(open.now().token, 4);
  EXPECT_FALSE(open.history.can_go_forward());
  for (int i = 0; i < 300; ++i) { open.history.pick({.token = i % 5}, Move::jump); }
  int back = 0;
  for (; open.history.can_go_back(); ++back) { open.history.go_back(); }
  EXPECT_EQ(back, 199);
}

TEST(History, NoWayLeadsToAClosedTrace) {
  Open open;
  open.look_at(0);
  open.look_at(1);
  open.history.pick({.token = 2}, Move::jump);
  open.look_at(0);
  open.history.forget(1, 0);
  EXPECT_EQ(open.now(), (Subject{.row = 0, .token = 2, .slot = 0, .expert = 2}));
  EXPECT_FALSE(open.history.can_go_forward());
  open.history.go_back();  // over what was looked at of trace 1
  EXPECT_EQ(open.history.view().trace, 0);
  EXPECT_EQ(open.now(), (Subject{.row = 0, .slot = 0}));
  EXPECT_FALSE(open.history.can_go_back());
  open.history.forget(0, -1);
  EXPECT_EQ(open.history.view().trace, -1);
  EXPECT_FALSE(open.now().any());
}

}  // namespace
}  // namespace kappascope::gui
