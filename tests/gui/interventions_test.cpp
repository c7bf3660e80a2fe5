// What a run is to change in a model: the field that takes it, the check boxes that are part of it,
// and what a session keeps. What the program says of a model's layout.
#include <fstream>

#include "app/gui/export_dialog.h"
#include "app/gui/session.h"
#include "tests/gui/gui_test.h"
#include "tests/tools/synthetic.h"

namespace kappascope::gui::test {

namespace {

using Words = std::vector<std::string>;

void open_a_model(Driver& driver) {
  driver.workspace().open(source_folder() / "assets" / "d4-kappa");
  IM_CHECK(driver.settle());
  driver.workspace().next_run.text = "Once upon a time";
}

void type_words(Driver& driver, const char* words) {
  driver.ctx->ItemClick("//###text/**/###interventions");
  driver.ctx->KeyCharsReplace(words);
}

void click(Driver& driver, const char* item) {
  driver.ctx->ItemClick(("//###text/**/###" + std::string(item)).c_str());
  driver.ctx->Yield(2);
}

Words next_words(Driver& driver) {
  return canonical_words(driver.workspace().next_run.interventions);
}

Words recorded_words(Driver& driver) {
  return driver.workspace().current_trace()->meta.at("interventions").get<Words>();
}

// Opens a session whose next run is `run`.
void open_session_with(Driver& driver, const std::string& run) {
  const auto file = driver.folder / "by hand.json";
  std::ofstream(file) << R"({"schema": "kappascope.session/1", "next_run": )" << run << "}";
  restore_session(driver.gui(), file);
  IM_CHECK(driver.settle());
}

}  // namespace

GUI_TEST(typed_interventions_are_run_and_recorded) {
  open_a_model(driver);
  type_words(driver, "top-k=1  kappa-mul=2@3");
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_Enter);
  IM_CHECK(driver.settle());
  const Workspace& workspace = driver.workspace();
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  IM_CHECK(recorded_words(driver) == Words({"kappa-mul=2@3", "top-k=1"}));
  IM_CHECK(workspace.traces()[0].label.find("kappa-mul=2@3, top-k=1") != std::string::npos);
  IM_CHECK(export_command(driver.gui(), "loss").find(" --kappa-mul 2@3 --top-k 1 ") !=
           std::string::npos);
  restart_with_session(driver);
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(1));
  IM_CHECK(recorded_words(driver) == Words({"kappa-mul=2@3", "top-k=1"}));
  IM_CHECK(next_words(driver) == Words({"kappa-mul=2@3", "top-k=1"}));
  IM_CHECK_STR_EQ(driver.gui().text.words.c_str(), "kappa-mul=2@3 top-k=1");
}

GUI_TEST(a_wrong_intervention_is_said_and_not_run) {
  open_a_model(driver);
  const Workspace& workspace = driver.workspace();
  type_words(driver, "kappa-mul=2 kappa-mul=-1");
  driver.ctx->KeyPress(ImGuiKey_Enter);
  click(driver, "run");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(0));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(1));
  IM_CHECK_STR_EQ(workspace.messages()[0].text.c_str(), "kappa-mul=-1: expected a number > 0");
  // Known words that this model cannot do.
  type_words(driver, "kappa-mul=2@0");
  click(driver, "run");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(0));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(2));
  IM_CHECK(workspace.messages()[1].text.find("kappa-mul=2@0: ") != std::string::npos);
  type_words(driver, "");
  click(driver, "run");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  IM_CHECK(recorded_words(driver).empty());
}

GUI_TEST(check_boxes_are_interventions) {
  open_a_model(driver);
  type_words(driver, "kappa-bias=0@3");
  click(driver, "kappa");
  click(driver, "capacity");
  IM_CHECK_STR_EQ(driver.gui().text.words.c_str(), "kappa-bias=0@3 kappa=off capacity=off");
  click(driver, "kappa");
  IM_CHECK_STR_EQ(driver.gui().text.words.c_str(), "kappa-bias=0@3 capacity=off");
  type_words(driver, "kappa=off");
  driver.ctx->Yield(2);
  IM_CHECK(!driver.ctx->ItemIsChecked("//###text/**/###kappa"));
  IM_CHECK(driver.ctx->ItemIsChecked("//###text/**/###capacity"));
}

GUI_TEST(older_sessions_and_wrong_words_open) {
  open_session_with(
      driver, R"({"text": "a", "kappa": false, "capacity": true, "window": true, "lens": true})");
  IM_CHECK(next_words(driver) == Words({"kappa=off"}));
  IM_CHECK(driver.workspace().next_run.window && driver.workspace().next_run.lens);
  driver.ctx->Yield(2);
  IM_CHECK(driver.ctx->ItemIsChecked("//###text/**/###lens"));
  open_session_with(driver, R"({"text": "a", "kappa": true, "capacity": false})");
  IM_CHECK(next_words(driver) == Words({"capacity=off"}));
  open_session_with(driver, R"({"text": "a", "interventions": ["loop=2", "nonsense", 7]})");
  IM_CHECK(next_words(driver) == Words({"loop=2"}));
  IM_CHECK(driver.workspace().next_run.wrong.find("nonsense") != std::string::npos);
  open_session_with(driver, R"({"text": "a"})");
  IM_CHECK(next_words(driver).empty());
  IM_CHECK_STR_EQ(driver.workspace().next_run.wrong.c_str(), "");
}

GUI_TEST(warnings_of_a_model_are_said_once) {
  Workspace& workspace = driver.workspace();
  const auto folder = driver.folder / "undated";
  synthetic::write_model(folder, {.config = {{"kappa_input_logit_norm_exponent", nullptr}}});
  for (int i = 0; i < 2; ++i) {
    workspace.open(folder);
    IM_CHECK(driver.settle());
  }
  IM_CHECK_EQ(workspace.models().size(), std::size_t(1));
  const Model& model = *workspace.models()[0].model;
  IM_CHECK_EQ(model.warnings.size(), std::size_t(1));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(1));
  IM_CHECK(!workspace.messages()[0].error);
  IM_CHECK_STR_EQ(workspace.messages()[0].text.c_str(), model.warnings[0].c_str());
}

}  // namespace kappascope::gui::test
