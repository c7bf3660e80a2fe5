// A model goes on with a text in the window: the trace grows, ends, goes on, and comes again with a
// session.
#include <algorithm>
#include <vector>

#include "app/gui/export_dialog.h"
#include "tests/gui/runs.h"

namespace kappascope::gui::test {

namespace {

constexpr const char* kPrompt = "Once upon a time";

void generate(Driver& driver, std::int64_t tokens) {
  RunSettings& next = driver.workspace().next_run;
  next.text = kPrompt;
  next.take({"capacity=off"});
  next.rules.tokens = tokens;
  next.rules.go_on_at_end = true;
  driver.workspace().generate();
  IM_CHECK(driver.settle());
}

// What a trace has of each token, to be compared bit for bit.
struct Recorded {
  std::vector<std::int32_t> ids;
  std::vector<std::int8_t> phase;
  std::vector<float> logits, nll;
  bool operator==(const Recorded&) const = default;
};

Recorded recorded(const Trace& trace) {
  Recorded of;
  of.ids.assign(trace.token_id.begin(), trace.token_id.end());
  of.phase.assign(trace.phase.begin(), trace.phase.end());
  of.logits.assign(trace.router_logits.begin(), trace.router_logits.end());
  // Not of the first token, which nothing predicts.
  of.nll.assign(trace.nll.begin() + 1, trace.nll.end());
  return of;
}

Recorded current(Driver& driver) {
  IM_CHECK_RETV(driver.workspace().current_trace() != nullptr, {});
  return recorded(*driver.workspace().current_trace());
}

void press(Driver& driver, const char* item) {
  click(driver, item, [&](ImGuiWindow& window) { return window.GetID(item); });
}

}  // namespace

GUI_TEST(a_text_that_stops_goes_on_as_if_it_had_not) {
  open_model(driver, "d4-kappa");
  generate(driver, 12);
  Workspace& workspace = driver.workspace();
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  const Recorded whole = current(driver);
  IM_CHECK_EQ(std::count(whole.phase.begin(), whole.phase.end(), 1), 12);
  IM_CHECK_EQ(workspace.current_trace()->meta.at("generation").at("ended_by"), "token limit");
  IM_CHECK_EQ(workspace.selection().token, int(whole.ids.size()) - 1);  // the newest
  generate(driver, 5);
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK_EQ(current(driver).ids.size(), whole.ids.size() - 7);
  workspace.next_run.rules.tokens = 7;
  press(driver, "###go_on");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));  // the same one has grown
  IM_CHECK(current(driver) == whole);
  IM_CHECK_EQ(workspace.selection().token, int(whole.ids.size()) - 1);
}

GUI_TEST(capacity_in_calls_of_one_token_is_said) {
  open_model(driver, "d4-kappa");
  RunSettings& next = driver.workspace().next_run;
  next.text = "one two three four five six seven eight nine ten eleven twelve";
  next.rules.tokens = 2;
  driver.workspace().generate();
  IM_CHECK(driver.settle());
  const auto& messages = driver.workspace().messages();
  IM_CHECK_EQ(messages.size(), std::size_t(1));
  IM_CHECK(messages.back().text.find("switching Capacity off makes both alike") !=
           std::string::npos);
}

GUI_TEST(how_tokens_are_drawn_is_typed) {
  open_model(driver, "d4-kappa");
  Workspace& workspace = driver.workspace();
  workspace.next_run.text = kPrompt;
  driver.ctx->ItemClick("//###text/**/###rules");
  const auto type = [&](const char* item, const char* value) {
    driver.ctx->ItemInputValue((std::string("//$FOCUSED/") + item).c_str(), value);
  };
  type("###most", "6");
  type("###temperature", "0.8");
  type("###mass", "0.9");
  type("###top_k", "5");
  type("###seed", "17");
  driver.ctx->ItemClick("//$FOCUSED/###ends");
  driver.ctx->ItemClick("//$FOCUSED/###stops");
  driver.ctx->KeyCharsReplace("no such words");
  driver.ctx->PopupCloseAll();
  const GenerationRules& rules = workspace.next_run.rules;
  IM_CHECK_EQ(rules.tokens, 6);
  IM_CHECK_EQ(rules.sampling.temperature, 0.8);
  IM_CHECK_EQ(rules.sampling.mass, 0.9);
  IM_CHECK_EQ(rules.sampling.most, 5);
  IM_CHECK_EQ(rules.sampling.seed, std::uint64_t(17));
  IM_CHECK(rules.go_on_at_end);
  IM_CHECK(rules.stops == std::vector<std::string>{"no such words"});
  press(driver, "###generate");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  const Recorded drawn = current(driver);
  IM_CHECK_EQ(std::count(drawn.phase.begin(), drawn.phase.end(), 1), 6);
  const Json& said = workspace.current_trace()->meta.at("generation");
  IM_CHECK_EQ(said.at("temperature"), 0.8);
  IM_CHECK_EQ(said.at("seed"), 17);
}

GUI_TEST(a_text_is_generated_from_a_token_on) {
  open_model(driver, "d4-kappa");
  generate(driver, 10);
  Workspace& workspace = driver.workspace();
  const Recorded whole = current(driver);
  const int from = int(whole.ids.size()) - 6;
  workspace.pick({.token = from});
  driver.ctx->Yield(2);
  workspace.next_run.rules.tokens = 5;
  press(driver, "###go_on");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  // Greedy: the same tokens again, after a prompt that is longer.
  const Recorded again = current(driver);
  IM_CHECK(again.ids == whole.ids);
  IM_CHECK_EQ(std::count(again.phase.begin(), again.phase.end(), 1), 5);
  // Edited: the text up to there is in the field.
  workspace.pick({.token = from});
  driver.ctx->Yield(2);
  driver.ctx->MouseMove(("//###text/**/token/$$" + std::to_string(from) + "/###token").c_str());
  driver.ctx->MouseClick(ImGuiMouseButton_Right);
  driver.ctx->ItemClick("//$FOCUSED/###edit");
  driver.ctx->Yield(4);
  IM_CHECK(workspace.next_run.text.starts_with(kPrompt));
  driver.ctx->KeyChars("!");
  driver.ctx->Yield(2);
  IM_CHECK(workspace.next_run.text.ends_with('!'));
}

GUI_TEST(generating_is_stopped_and_its_text_stays) {
  open_model(driver, "d4-kappa");
  Workspace& workspace = driver.workspace();
  generate(driver, 3);  // loads the weights
  RunSettings& next = workspace.next_run;
  next.rules.tokens = 100000;
  workspace.generate();
  const auto shown = [&] { return workspace.traces().size() == 2; };
  for (int i = 0; i < 2000 && !shown(); ++i) { driver.ctx->Yield(); }
  IM_CHECK(shown());
  workspace.stop_generating();
  IM_CHECK(driver.settle());
  const Trace& trace = *workspace.current_trace();
  IM_CHECK_LT(trace.tokens, 256);  // not the longest text
  IM_CHECK_EQ(trace.meta.at("generation").at("ended_by"), "interrupted");
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
  // Closed while it grows: no more of it comes.
  workspace.generate();
  const auto third = [&] { return workspace.traces().size() == 3; };
  for (int i = 0; i < 2000 && !third(); ++i) { driver.ctx->Yield(); }
  workspace.close_trace(workspace.traces().back().id);
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
}

GUI_TEST(a_session_generates_again) {
  open_model(driver, "d4-kappa");
  driver.workspace().next_run.rules.sampling = {.temperature = 1, .mass = 0.9, .seed = 7};
  generate(driver, 8);
  const Recorded drawn = current(driver);
  const std::string command = export_command(driver.gui(), "loss");
  IM_CHECK(command.starts_with("kappascope generate "));
  for (const char* words : {" --tokens 8 ", " --temperature 1", " --seed 7", " --top-p 0.9",
                            " --ignore-end", " --capacity off"}) {
    IM_CHECK(command.find(words) != std::string::npos);
  }
  restart_with_session(driver);
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(1));
  IM_CHECK(current(driver) == drawn);
  IM_CHECK_EQ(driver.workspace().next_run.rules.sampling.mass, 0.9);
}

}  // namespace kappascope::gui::test
