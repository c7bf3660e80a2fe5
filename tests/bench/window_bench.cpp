// kappascope_window_bench: what a frame of the window costs on Dear ImGui's null backend, beside
// ImPlot's own heat map; and how long the window takes to be there, on a display.
#include <implot.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

#include "app/gui/window.h"
#include "core/figure/prepared.h"
#include "tests/bench/work.h"
#include "tests/gui/null_window.h"

namespace kappascope::bench {
namespace {

using namespace kappascope::gui;

constexpr int kFrames = 48;
constexpr float kWidth = 1200, kHeight = 900;

std::vector<float> noise(std::int64_t count) {
  std::vector<float> values(std::size_t(count), 0.0F);
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = float(state >> 8) / float(1 << 24);
  }
  return values;
}

// Frames of one window with the mouse at its middle: the wheel zooms in and out, then it rests.
class FrameWork : public Work {
 public:
  Json run(const Json&) override {
    std::vector<double> seconds;
    int vertices = 0;
    for (int i = 0; i < kFrames; ++i) {
      ImGuiIO& io = ImGui::GetIO();
      io.AddMousePosEvent(kWidth / 2, kHeight / 2);
      const int turn = i % 16;
      if (turn < 6) { io.AddMouseWheelEvent(0, 1); }
      if (turn >= 8 && turn < 14) { io.AddMouseWheelEvent(0, -1); }
      const double begin = seconds_now();
      const ImDrawData& data = window_.frame([this] {
        ImGui::SetNextWindowPos({0, 0});
        ImGui::SetNextWindowSize({kWidth, kHeight});
        ImGui::Begin("figure", nullptr, ImGuiWindowFlags_NoDecoration);
        draw();
        ImGui::End();
      });
      seconds.push_back(seconds_now() - begin);
      vertices = std::max(vertices, data.TotalVtxCount);
    }
    std::nth_element(seconds.begin(), seconds.begin() + kFrames / 2, seconds.end());
    return {{"seconds", seconds[kFrames / 2]}, {"vertices", vertices}};
  }

 protected:
  virtual void draw() = 0;

 private:
  NullWindow window_{{kWidth, kHeight}};
};

class HeatMapWork final : public FrameWork {
 public:
  explicit HeatMapWork(const Json& arguments) {
    const auto side = std::int64_t(std::sqrt(arguments.at("cells").get<double>()));
    Figure figure;
    kappascope::Panel panel;
    HeatMap map;
    map.rows = map.columns = side;
    map.cells = noise(side * side);
    for (FigureAxis* axis : {&panel.x, &panel.y}) {
      axis->low = -0.5;
      axis->high = double(side) - 0.5;
    }
    panel.heat_map.push_back(std::move(map));
    figure.panels.push_back(std::move(panel));
    figure_ = std::make_shared<const PreparedFigure>(std::move(figure));
  }

 private:
  void draw() override {
    draw_figure("figure", figure_, {}, theme(true), state_, ImGui::GetContentRegionAvail());
  }

  std::shared_ptr<const PreparedFigure> figure_;
  FigureViewState state_;
};

class ImPlotWork final : public FrameWork {
 public:
  explicit ImPlotWork(const Json& arguments)
      : side_(int(std::sqrt(arguments.at("cells").get<double>()))),
        cells_(noise(std::int64_t(side_) * side_)) {
    ImPlot::CreateContext();
  }
  ~ImPlotWork() override { ImPlot::DestroyContext(); }

 private:
  void draw() override {
    if (!ImPlot::BeginPlot("figure", ImGui::GetContentRegionAvail())) { return; }
    ImPlot::PlotHeatmap("cells", cells_.data(), side_, side_, 0, 1, nullptr);
    ImPlot::EndPlot();
  }

  int side_;
  std::vector<float> cells_;
};

// Since this process was started, in steps of the system's clock tick (10 ms).
double process_seconds() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) {
    fields >> field;  // 22: start, in ticks since the system's
  }
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec) -
         std::stod(field) / double(sysconf(_SC_CLK_TCK));
}

// From the start of the process to the first frame of the window and, with "trace", to the first
// frame with a figure of it. To be run once.
class StartWork final : public Work {
 public:
  explicit StartWork(const Json& arguments) : trace_(arguments.value("trace", "")) {}

  Json run(const Json&) override {
    Window window({});
    const double context = process_seconds();
    Settings settings;
    Workspace workspace({.wake = Window::wake, .scratch_parent = {}});
    Gui gui(workspace, settings);
    gui.next_layout = built_in_layouts().front();
    if (!trace_.empty()) { workspace.open(trace_); }
    double first_frame = 0;
    while (first_frame == 0 || !(trace_.empty() || shows_a_figure(gui))) {
      window.wait(first_frame == 0 ? 0 : 0.1);
      prepare_frame(gui);
      window.frame([&] { draw_frame(gui); });
      if (first_frame == 0) { first_frame = process_seconds(); }
      for (const Message& message : workspace.messages()) {
        throw Error(message.code, message.text);
      }
    }
    return {{"seconds", process_seconds()}, {"context", context}, {"first_frame", first_frame}};
  }

 private:
  static bool shows_a_figure(const Gui& gui) {
    return std::any_of(gui.figures.begin(), gui.figures.end(),
                       [](const auto& figure) { return figure.second.view.shown != nullptr; });
  }

  std::string trace_;
};

template <typename Made>
std::unique_ptr<Work> make(const Json& arguments) {
  return std::make_unique<Made>(arguments);
}

}  // namespace
}  // namespace kappascope::bench

int main() {
  using namespace kappascope::bench;
  return serve(
      {{"heat_map", make<HeatMapWork>}, {"implot", make<ImPlotWork>}, {"start", make<StartWork>}});
}
