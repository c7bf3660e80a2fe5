// Several traces beside each other: one figure each, one selection, and what the second start has
// of it. Interventions by their controls, live, and their effect against the same run without them.
#include <algorithm>

#include "app/gui/export_dialog.h"
#include "core/figure/parts.h"
#include "tests/gui/runs.h"
#include "tests/tools/synthetic.h"

namespace kappascope::gui::test {

namespace {

void compare_all(Driver& driver) {
  for (const OpenTrace& open : driver.workspace().traces()) {
    driver.workspace().trace(open.id)->compared = true;
  }
}

const FigurePanelState& show_figure(Driver& driver, const std::string& id) {
  driver.gui().shown[id] = true;
  driver.ctx->Yield(2);
  driver.gui().focus = id;
  IM_CHECK_RETV(driver.settle(), driver.gui().figures[id]);
  return driver.gui().figures[id];
}

void expect_panes(Driver& driver, std::size_t count) {
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.several != Several::one_each) { continue; }
    const FigurePanelState& state = show_figure(driver, std::string(entry.id));
    IM_CHECK_EQ(state.panes, count);
    for (std::size_t i = 0; i < count; ++i) {
      const FigureViewState& view = i == 0 ? state.view : state.beside[i - 1];
      IM_CHECK_SILENT(view.shown != nullptr);
      if (view.shown) { IM_CHECK_STR_EQ(view.shown->failure.message.c_str(), ""); }
    }
  }
}

}  // namespace

GUI_TEST(four_lanes_share_one_selection) {
  open_model(driver, "d8-kappa");
  run(driver, "The tide came in and went out again.");
  run(driver, "The tide came in and went out again.", {"kappa=off"});
  run(driver, "The tide came in and went out again.", {"top-k=1"});
  run(driver, "Another text, of other words.");
  compare_all(driver);
  Workspace& workspace = driver.workspace();
  workspace.show_trace(workspace.traces().front().id);
  expect_panes(driver, 4);
  const std::vector<ShownTrace> shown = workspace.shown();
  IM_CHECK_EQ(shown.size(), std::size_t(4));
  // A part of any of them selects it in all that have it.
  workspace.pick_in(shown[2], {.row = 3, .token = 5});
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.selection().token, 5);
  IM_CHECK_EQ(workspace.selection().row, 3);
  IM_CHECK_EQ(workspace.selection_in(shown[1]).token, 5);
  IM_CHECK_EQ(workspace.selection_in(shown[3]).token, -1);
  IM_CHECK_EQ(workspace.selection_in(shown[3]).row, 3);
  IM_CHECK(workspace.counterparts(shown[3])->note().find("another text") == 0);
  workspace.pick_in(shown[3], {.token = 2});  // has no counterpart
  IM_CHECK_EQ(workspace.selection().token, 5);
  // Colours mean the same in all.
  const FigurePanelState& state = show_figure(driver, "kappa-tokens");
  const auto colours = [](const FigureViewState& view) {
    return view.shown->figure.panels[0].heat_map[0].colours;
  };
  IM_CHECK_EQ(colours(state.view).high, colours(state.beside[2]).high);
  const std::string command = export_command(driver.gui(), "kappa-tokens");
  IM_CHECK(command.find(" --panels ") != std::string::npos);
  Words cut = driver.cut_texts();
  std::erase_if(cut, [](const std::string& text) {  // names of runs end where their pane does
    return text.find("shortened: d8-kappa") != text.npos;
  });
  IM_CHECK_STR_EQ(cut.empty() ? "" : cut.front().c_str(), "");
  restart_with_session(driver);
  IM_CHECK_EQ(driver.workspace().shown().size(), std::size_t(4));
  IM_CHECK_EQ(driver.workspace().selection().token, 5);
  expect_panes(driver, 4);
}

GUI_TEST(lanes_of_two_models_follow_the_layer) {
  open_model(driver, "d4-kappa");
  run(driver, "Once upon a time");
  open_model(driver, "d8-kappa");
  run(driver, "Once upon a time");
  compare_all(driver);
  Workspace& workspace = driver.workspace();
  const std::vector<ShownTrace> shown = workspace.shown();  // of the deeper model first
  workspace.pick({.row = 2, .token = 3});
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.selection_in(shown[1]).token, 3);
  const std::int32_t layer = shown[0].trace->layer_index[2];
  const std::int32_t row = workspace.selection_in(shown[1]).row;
  if (row >= 0) { IM_CHECK_EQ(shown[1].trace->layer_index[row], layer); }
  workspace.pick({.row = int(shown[0].trace->layers - 1)});
  IM_CHECK_EQ(workspace.selection_in(shown[1]).row, -1);  // not so deep
  IM_CHECK_EQ(show_figure(driver, "kappa-tokens").panes, std::size_t(2));
  IM_CHECK_EQ(show_figure(driver, "kappa-depth").panes, std::size_t(1));
}

GUI_TEST(every_kind_of_edit_has_controls) {
  open_model(driver, "d4-kappa");
  driver.workspace().next_run.text = "Once upon a time";
  show_controls(driver);
  std::size_t rows = 0;
  for (const EditKind& kind : edit_kinds()) {
    choose(driver, "###add", kind.name);
    IM_CHECK_EQ(driver.gui().interventions.rows.size(), ++rows);
    const InterventionsState::Row& row = driver.gui().interventions.rows.back();
    IM_CHECK_STR_EQ(row.name.c_str(), kind.name);
    const bool taken =
        std::any_of(driver.workspace().next_run.interventions.begin(),
                    driver.workspace().next_run.interventions.end(),
                    [&](const Intervention& edit) { return edit.edit == kind.edit; });
    IM_CHECK(taken || !row.wrong.empty());
  }
  while (!driver.gui().interventions.rows.empty()) {
    click(driver, "the first edit's ×",
          [](ImGuiWindow& window) { return ImHashStr("###close", 0, window.GetID(0)); });
    IM_CHECK_EQ(driver.gui().interventions.rows.size(), --rows);
  }
  IM_CHECK(driver.workspace().next_run.interventions.empty());
  IM_CHECK_STR_EQ(driver.workspace().next_run.wrong.c_str(), "");
}

GUI_TEST(a_live_edit_runs_and_shows_its_effect) {
  open_model(driver, "d4-kappa");
  run(driver, "Once upon a time");
  Workspace& workspace = driver.workspace();
  show_controls(driver);
  driver.ctx->SetRef("//###interventions");
  driver.ctx->ItemClick("**/###live");
  choose(driver, "###add", "kappa-mul");
  wait_for_live(driver);
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  const auto words = [&] {
    return workspace.current_trace()->meta.at("interventions").get<Words>();
  };
  IM_CHECK(words() == Words({"kappa-mul=0.5"}));
  driver.ctx->ItemInputValue("**/$$0/###value", "3");
  wait_for_live(driver);
  // The trace takes the place of the last one; the run that was there serves as the unedited one.
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK(words() == Words({"kappa-mul=3"}));
  IM_CHECK_EQ(workspace.unedited().id, workspace.traces().front().id);
  const auto effect = workspace.effect();
  IM_CHECK(effect != nullptr);
  IM_CHECK_EQ(std::int64_t(effect->layers.size()), workspace.current_trace()->layers);
  IM_CHECK_NE(effect->loss.sum, 0.0);
  IM_CHECK(effect->divergence > 0);
  // The experts of the selected layer, by the change of their load.
  const LayerDifference& layer = effect->layers.back();
  workspace.pick({.row = int(layer.rows.a)});
  driver.ctx->Yield(3);
  ImGuiWindow* panel = column_in_sight("routed otherwise").table->OuterWindow;
  for (float y = 0; y <= panel->ScrollMax.y && !column_in_sight("Δ load").table; y += 100) {
    ImGui::SetScrollY(panel, y);
    driver.ctx->Yield(3);
  }
  click_in_table(driver, "Δ load", 1);
  IM_CHECK_EQ(workspace.selection().row, int(layer.rows.a));
  IM_CHECK_EQ(workspace.selection().expert, int(layer.experts.front().expert));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(an_edit_is_compared_with_its_own_model) {
  open_model(driver, "d4-kappa");
  run(driver, "Once upon a time");
  open_model(driver, "d8-kappa");
  run(driver, "Once upon a time", {"kappa-mul=1"});  // which changes nothing
  show_controls(driver);
  const auto effect = driver.workspace().effect();
  IM_CHECK(effect != nullptr);
  IM_CHECK_EQ(effect->loss.sum, 0.0);
  IM_CHECK_EQ(effect->divergence, 0.0);
}

GUI_TEST(the_unedited_run_is_made_with_the_edited_one) {
  open_model(driver, "d4-kappa");
  run(driver, "Once upon a time", {"kappa=off"});
  Workspace& workspace = driver.workspace();
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  IM_CHECK(workspace.unedited().trace != nullptr);
  show_controls(driver);
  IM_CHECK(workspace.effect() != nullptr);
  // Another edit of the same text uses it; it stays when the first one is closed.
  run(driver, "Once upon a time", {"kappa=2"});
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK(workspace.traces()[1].unedited.trace == nullptr);
  workspace.close_trace(workspace.traces().front().id);
  IM_CHECK(workspace.unedited().trace != nullptr);
  driver.ctx->ItemClick("//###interventions/**/###beside");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK(workspace.traces()[1].compared);
  IM_CHECK(workspace.traces()[1].run->interventions.empty());
  IM_CHECK_EQ(workspace.unedited().id, workspace.traces()[1].id);
  restart_with_session(driver);
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(2));
  IM_CHECK_EQ(driver.workspace().shown().size(), std::size_t(2));
  IM_CHECK_EQ(driver.workspace().unedited().id, driver.workspace().traces()[1].id);
  IM_CHECK_EQ(driver.workspace().messages().size(), std::size_t(0));
}

GUI_TEST(a_checkpoint_is_read_otherwise_and_stays_so) {
  synthetic::ModelSpec spec;
  for (const char* head : {"transformer.h.1.mlp.experts.", "transformer.h.2.mlp.experts."}) {
    for (const char* name : {"kappa_bias", "kappa_scale"}) {
      spec.reshape[std::string(head) + name] = {2, 4, 128};
    }
  }
  spec.config = {{"separate_base_sft_kappa", true}};
  synthetic::write_model(driver.folder / "both", spec);
  driver.workspace().open(driver.folder / "both");
  IM_CHECK(driver.settle());
  driver.gui().focus = "model";
  IM_CHECK(driver.settle());
  const auto choose = [&](const char* combo, const char* value) {
    test::choose(driver, combo, value);
    IM_CHECK(driver.settle());
  };
  const auto slots = [&] {
    return driver.workspace().current_model()->model->architecture.kappa_slots;
  };
  IM_CHECK(slots().side == KappaSide::base);
  choose("###kappa_slot", "sft");
  IM_CHECK(slots().side == KappaSide::sft);
  choose("###sft_kappa", "independent");
  IM_CHECK(slots().sft == SftKappa::independent);
  IM_CHECK_EQ(driver.workspace().models().size(), std::size_t(1));
  restart_with_session(driver);
  IM_CHECK(slots().side == KappaSide::sft);
  IM_CHECK(slots().sft == SftKappa::independent);
  driver.gui().focus = "model";
  IM_CHECK(driver.settle());
  choose("###kappa_slot", "###auto");
  IM_CHECK(slots().side == KappaSide::base);
}

}  // namespace kappascope::gui::test
