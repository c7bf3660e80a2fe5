// A figure in the window is the one of its file: laid out by the same code, for the window's size,
// fonts and what is in sight; and only when one of these changed. On the null backend.
#include <gtest/gtest.h>

#include <algorithm>

#include "app/gui/scene_drawer.h"
#include "core/figure/layout.h"
#include "core/figure/screen_layout.h"
#include "tests/gui/demo_window.h"

namespace kappascope::gui {
namespace {

using Prepared = std::shared_ptr<const PreparedFigure>;

Prepared figure_of(NullWindow& window, std::string_view id) {
  Prepared figure;
  while (!figure) {
    figure = window.workspace().figure(std::string(id), {});
    window.settle();
  }
  return figure;
}

std::vector<PanelSight> everything(const PreparedFigure& figure) {
  std::vector<PanelSight> sights;
  for (const PanelGroupPlan& group : figure.groups) {
    for (std::size_t i = 0; i < group.panels.size(); ++i) {
      sights.push_back({group.x[i], group.y[i]});
    }
  }
  return sights;
}

std::vector<const SceneText*> texts(const Scene& scene) {
  std::vector<const SceneText*> found;
  for (const SceneItem& item : scene.items) {
    if (const auto* text = std::get_if<SceneText>(&item)) { found.push_back(text); }
  }
  return found;
}

// All words of a scene, wherever lines break.
std::string words(const Scene& scene) {
  std::string all;
  for (const SceneText* text : texts(scene)) { all += text->text + " "; }
  return all;
}

void expect_tidy(const Scene& scene, double pixel, const std::string& where) {
  const auto all = texts(scene);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Box& box = all[i]->bounds;
    EXPECT_GE(box.x, -pixel) << where << ": " << all[i]->text;
    EXPECT_LE(box.right(), scene.width + pixel) << where << ": " << all[i]->text;
    EXPECT_EQ(all[i]->text.find("…"), std::string::npos) << where << ": " << all[i]->text;
    for (std::size_t k = i + 1; k < all.size(); ++k) {
      EXPECT_FALSE(box.overlaps(all[k]->bounds))
          << where << ": \"" << all[i]->text << "\" and \"" << all[k]->text << "\"";
    }
  }
}

TEST(Scene, TextsKeepClearOfEachOtherAtEverySize) {
  NullWindow window;
  open_demo(window);
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.several == Several::difference || entry.series) { continue; }  // of one trace: none
    const Prepared figure = figure_of(window, entry.id);
    window.frame([&] {
      const float scale = point_pixels();
      ScreenTextMeter meter(scale);
      const Outlet outlet{.pixel = 1 / scale, .paper = paper_of(theme(true))};
      for (const ImVec2 size : {ImVec2(420, 300), ImVec2(900, 620), ImVec2(2400, 1500)}) {
        expect_tidy(lay_out_screen(*figure, everything(*figure), size.x / scale, size.y / scale,
                                   outlet, meter),
                    outlet.pixel, join_words(entry.id, " at ", size.x, "×", size.y));
      }
    });
  }
}

TEST(Scene, AWindowSaysWhatAFileSays) {
  NullWindow window;
  open_demo(window);
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.several == Several::difference || entry.series) { continue; }  // of one trace: none
    const Prepared figure = figure_of(window, entry.id);
    std::string said;
    window.frame([&] {
      ScreenTextMeter meter(point_pixels());
      const Outlet outlet{.pixel = 1 / point_pixels(), .paper = {}};
      said = words(lay_out_screen(*figure, everything(*figure), 504, 400, outlet, meter));
    });
    const std::string file = words(lay_out(figure->figure, {}, {}));
    for (const PanelGroupPlan& group : figure->groups) {
      for (const Key& key : group.keys) {
        EXPECT_NE(said.find(key.name), std::string::npos) << entry.id << ": " << key.name;
        EXPECT_NE(file.find(key.name), std::string::npos) << entry.id << ": " << key.name;
      }
      if (std::find(group.empty.begin(), group.empty.end(), false) == group.empty.end()) {
        continue;
      }
      const std::string& name = group.panels.back()->x.name;
      EXPECT_NE(said.find(name), std::string::npos) << entry.id << ": " << name;
      EXPECT_NE(file.find(name), std::string::npos) << entry.id << ": " << name;
    }
  }
}

// Draws frames of a figure alone in a window.
class Alone {
 public:
  explicit Alone(const char* id) {
    open_demo(window_);
    figure_ = figure_of(window_, id);
    for (int i = 0; i < 3; ++i) { frame(); }
  }
  void frame() {
    window_.frame([this] {
      ImGui::SetNextWindowPos({0, 0});
      ImGui::SetNextWindowSize(size_);
      ImGui::Begin("figure", nullptr, ImGuiWindowFlags_NoDecoration);
      draw_figure("figure", figure_, selection_, theme(dark_), state_,
                  ImGui::GetContentRegionAvail());
      ImGui::End();
    });
  }
  const SceneItem* items() const { return state_.laid_out.scene.items.data(); }
  const ScenePanel& axes() const { return state_.laid_out.scene.panels.at(0); }

  NullWindow window_;
  Prepared figure_;
  FigureViewState state_;
  Subject selection_;
  ImVec2 size_{900, 600};
  bool dark_ = true;
};

TEST(Scene, IsMadeAgainOnlyWhenSomethingChanged) {
  Alone alone("kappa-tokens");
  const auto made_again = [&alone] {
    const SceneItem* before = alone.items();
    alone.frame();
    return alone.items() != before;
  };
  EXPECT_FALSE(made_again());
  alone.selection_ = {.row = 1, .token = 3};
  EXPECT_FALSE(made_again());
  alone.size_.x += 40;
  EXPECT_TRUE(made_again());
  EXPECT_FALSE(made_again());
  alone.dark_ = false;
  EXPECT_TRUE(made_again());
  alone.state_.x[0] = {2.5, 9.5};
  EXPECT_TRUE(made_again());
  EXPECT_FALSE(made_again());
}

TEST(Scene, AxesLeadFromTheScreenToTheData) {
  Alone alone("kappa-tokens");
  alone.state_.x[0] = {9.5, 19.5};
  alone.frame();
  EXPECT_EQ(alone.axes().x, (AxisSpan{9.5, 19.5}));
  EXPECT_DOUBLE_EQ(alone.axes().x.value(0.5), 14.5);
  EXPECT_DOUBLE_EQ(alone.axes().x.share(14.5), 0.5);
  // Every name of a token is of one that is in sight.
  std::size_t names = 0;
  for (const SceneText* text : texts(alone.state_.laid_out.scene)) {
    const auto& all = alone.figure_->figure.panels[0].x.names;
    const auto found = std::find(all.begin(), all.end(), text->text);
    names += found != all.end();
  }
  EXPECT_GE(names, 2u);
  const Box& plot = alone.axes().plot;
  EXPECT_GT(plot.width, 200);
  EXPECT_GT(alone.axes().x_labels.height, 5);
  EXPECT_GT(alone.axes().y_labels.width, 5);
}

}  // namespace
}  // namespace kappascope::gui
