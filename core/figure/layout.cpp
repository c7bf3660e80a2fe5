#include "core/figure/layout.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/figure/group.h"
#include "core/figure/style.h"

namespace kappascope {
namespace {

constexpr double kMargin = 4;  // points around everything
constexpr double kColumnGap = 14, kRowGap = 10;
constexpr double kLeastGroup = 150;     // points of width under which groups go below each other
constexpr double kHeightSlack = 0.5;    // mm: heights are rounded up
constexpr double kNarrowestGroup = 72;  // the same where the height is too small for that
constexpr std::size_t kMostColumns = 3, kMostLines = 5;
constexpr std::size_t kMostMissing = 6;  // characters without a glyph that are named

struct TextLine {
  std::string text;
  TextLook look;
  double step;  // to the next baseline
};

class Layout {
 public:
  Layout(const Figure& figure, const FigureStyle& style, const Outlet& outlet, TextMeter& meter)
      : figure_(figure),
        style_(style),
        outlet_(outlet),
        meter_(meter),
        painter_(scene_, meter_, outlet),
        font_(style.font_pt) {
    scene_.width_mm = style.width_mm;
    scene_.width = style.width_mm * kPointsPerMm;
    scene_.font = style.font;
    if (style.metadata) {
      scene_.title = plain_text(figure.title);
      scene_.description = plain_text(figure.subtitle);
      scene_.provenance = figure.provenance;
    }
    for (auto& [key, value] : scene_.provenance) { value = plain_text(value); }
  }

  Scene run() {
    head();
    arrange();
    fit_height();
    paint();
    return std::move(scene_);
  }

 private:
  double room() const { return scene_.width - 2 * kMargin; }

  void paragraph(std::vector<TextLine>& lines, const std::string& text, const TextLook& look,
                 std::size_t most) {
    for (const std::string& line :
         meter_.wrap(plain_text(text), room(), look.size, look.bold, most)) {
      // Tall scripts and stacked marks get the room their ink needs.
      const Box ink = meter_.extent(line, look.size, look.bold).ink;
      const double before = lines.empty() ? 0 : depth_;
      lines.push_back({line, look, std::max(1.3 * look.size, before - ink.y + 0.25 * look.size)});
      depth_ = std::max(0.0, ink.bottom());
    }
  }

  // Of a caption that is too long for its lines the first items, never a part of one (unless the
  // first alone is too long).
  std::string whole_items(const std::string& caption, double size) {
    constexpr std::string_view kMiddleDot = " · ";
    const auto fits = [&](const std::string& text) {
      return meter_.wrap(plain_text(text), room(), size, false, kMostLines + 1).size() <=
             kMostLines;
    };
    std::string shown = caption;
    std::size_t end = caption.size(), left_out = 0;
    while (end != 0 && !fits(shown)) {
      const std::size_t gap =
          end < kMiddleDot.size() ? caption.npos : caption.rfind(kMiddleDot, end - 1);
      if (gap == caption.npos) { return caption; }
      end = gap;
      shown = caption.substr(0, end) + std::string(kMiddleDot) + "… (" +
              std::to_string(++left_out) + " more)";
    }
    return shown;
  }

  void head() {
    for (const std::string& text : {figure_.title, figure_.subtitle}) {
      if (!text.empty()) { scene_.caption.push_back(plain_text(text)); }
    }
    if (style_.bare) { return; }
    paragraph(head_, figure_.title, {font_ + 1, Anchor::start, true}, kMostLines);
    paragraph(head_, whole_items(figure_.subtitle, font_ - 1),
              {font_ - 1, Anchor::start, false, false, kQuietInk}, kMostLines);
    for (const TextLine& line : head_) { head_height_ += line.step; }
    head_height_ += depth_ + 0.9 * font_;
  }

  // Groups of panels side by side where each has room.
  void arrange() {
    for (const PanelGroupPlan& group : plans_) {
      groups_.push_back(std::make_unique<PanelGroup>(group, nullptr, font_, meter_, outlet_));
    }
    const auto fitting = static_cast<std::size_t>(
        std::max(1.0, std::floor((room() + kColumnGap) / (kLeastGroup + kColumnGap))));
    columns_ = std::max<std::size_t>(1, std::min({fitting, kMostColumns, groups_.size()}));
    if (groups_.size() == 4 && columns_ == 3) { columns_ = 2; }
    legend_ = plan_legend(shared_keys(plans_), room(), font_, meter_, outlet_.most_lines(1));
    legend_height_ = legend_.rows > 0 ? legend_.height(font_) + 0.5 * font_ : 0;
  }

  // More groups side by side, as narrow as they may be at most.
  bool add_column() {
    const auto n = static_cast<double>(columns_ + 1);
    const double width = (room() - (n - 1) * kColumnGap) / n;
    if (columns_ >= groups_.size() || width < kNarrowestGroup) { return false; }
    ++columns_;
    return true;
  }

  // Heights of the rows for plots stretched so much.
  double plan(double stretch) {
    const auto n = static_cast<double>(columns_);
    const double width = (room() - (n - 1) * kColumnGap) / n;
    rows_.clear();
    double total = 0;
    for (std::size_t i = 0; i < groups_.size(); i += columns_) {
      const std::size_t end = std::min(i + columns_, groups_.size());
      double top = 0, height = 0;
      for (std::size_t k = i; k < end; ++k) {
        groups_[k]->plan(width, stretch);
        top = std::max(top, groups_[k]->top());
      }
      for (std::size_t k = i; k < end; ++k) {
        groups_[k]->raise_top(top);
        height = std::max(height, groups_[k]->height());
      }
      rows_.push_back(height);
      total += height + (i > 0 ? kRowGap : 0);
    }
    return total;
  }

  void fit_height() {
    const double height =
        style_.height_mm > 0 ? style_.height_mm : most_height_mm(style_) - kHeightSlack;
    const double wanted =
        height * kPointsPerMm - head_height_ - legend_height_ - 2 * kMargin - notes_room();
    double panels = plan(1);
    const bool asked = style_.height_mm > 0;
    // Large letters on a narrow page have the height that they need.
    if (!asked && (panels <= wanted || font_ > 10 || style_.width_mm < 8 * font_)) { return; }
    const std::size_t columns = columns_;
    while (!asked && panels > wanted && add_column()) { panels = plan(1); }
    if (!asked && panels <= wanted) { return; }
    panels = stretch_to(panels, wanted);
    if (panels <= wanted + 1) { return; }
    require(!asked && (style_.width_mm < 85 || style_.most_height_mm > 0), ExitCode::usage, {},
            "figure ", figure_.id, ": a height of ", number_text(height),
            " mm leaves no room for its axes",
            asked ? "" : "; --height asks for more, --width for more side by side");
    columns_ = columns;  // a preset says what is not kept
    plan(1);
  }

  // Heights of the rows for plots that fill what is wanted, as far as they can.
  double stretch_to(double panels, double wanted) {
    double stretch = 1;
    for (int round = 0; round < 12 && std::abs(panels - wanted) > 0.05; ++round) {
      double plots = 0;
      for (std::size_t i = 0; i < groups_.size(); i += columns_) {
        plots += groups_[i]->plot_height();
      }
      stretch *= std::max(0.01, (plots + wanted - panels) / std::max(1.0, plots));
      panels = plan(stretch);
    }
    return panels;
  }

  std::vector<TextLine> note_lines(const std::vector<std::string>& notes) {
    std::vector<TextLine> lines;
    depth_ = 0;
    for (const std::string& note : notes) {
      paragraph(lines, note, {font_ - 1, Anchor::start, false, false, kQuietInk}, 3);
    }
    return lines;
  }

  static double height_of(const std::vector<TextLine>& lines) {
    double height = 0;
    for (const TextLine& line : lines) { height += line.step; }
    return height;
  }

  double notes_room() {
    return figure_.notes.empty() || style_.bare
               ? 0
               : height_of(note_lines(figure_.notes)) + 0.6 * font_ + depth_;
  }

  void paint() {
    if (!style_.transparent) {
      painter_.add(SceneRect{{0, 0, 0, 0}, {255, 255, 255}});  // background, sized at the end
    }
    double y = kMargin;
    painter_.open("caption");
    for (const TextLine& line : head_) {
      y += line.step;
      painter_.text(line.text, {kMargin, y}, line.look);
    }
    painter_.close();
    painter_.open("legend");
    draw_legend(painter_, legend_, {kMargin, kMargin + head_height_}, font_);
    painter_.close();
    y = paint_panels(kMargin + head_height_ + legend_height_);
    std::vector<std::string> notes = figure_.notes;
    notes.insert(notes.end(), found_.begin(), found_.end());
    if (!meter_.missing().empty()) { notes.push_back(missing_note()); }
    for (const std::string& note : notes) { scene_.caption.push_back(plain_text(note)); }
    if (style_.bare) { return finish(y + kMargin); }
    const std::vector<TextLine> lines = note_lines(notes);
    if (!lines.empty()) { y += 0.6 * font_; }
    painter_.open("notes");
    for (const TextLine& line : lines) {
      y += line.step;
      painter_.text(line.text, {kMargin, y}, line.look);
    }
    painter_.close();
    finish(y + (lines.empty() ? 0 : std::max(depth_, 0.25 * font_)) + kMargin);
  }

  double paint_panels(double y) {
    std::size_t pictures = 0;
    for (const auto& group : groups_) { pictures += group->pictures(); }
    const std::size_t bytes = outlet_.most_picture_bytes / std::max<std::size_t>(1, pictures);
    const auto n = static_cast<double>(columns_);
    const double width = (room() - (n - 1) * kColumnGap) / n;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const double x = kMargin + static_cast<double>(i % columns_) * (width + kColumnGap);
      const std::string letter = style_.panel_letters && groups_.size() > 1
                                     ? std::string(1, static_cast<char>('a' + i % 26))
                                     : "";
      painter_.open("panel", i + 1);
      for (std::string& note : groups_[i]->draw(painter_, {x, y}, letter, bytes)) {
        if (std::find(found_.begin(), found_.end(), note) == found_.end()) {
          found_.push_back(note);
        }
      }
      painter_.close();
      if (i % columns_ + 1 == columns_ || i + 1 == groups_.size()) {
        y += rows_[i / columns_] + (i + 1 < groups_.size() ? kRowGap : 0);
      }
    }
    return y;
  }

  std::string missing_note() const {
    std::string note = "No installed font has ";
    std::size_t named = 0;
    for (const std::uint32_t code : meter_.missing()) {
      if (named == kMostMissing) { break; }
      char text[16];
      std::snprintf(text, sizeof text, "%sU+%04X", named++ ? ", " : "", code);
      note += text;
    }
    const std::size_t more = meter_.missing().size() - named;
    return note + (more ? " and " + std::to_string(more) + " more characters." : ".");
  }

  void finish(double height) {
    scene_.height_mm =
        style_.height_mm > 0 ? style_.height_mm : std::ceil(height / kPointsPerMm * 10) / 10;
    scene_.height = scene_.height_mm * kPointsPerMm;
    if (!style_.transparent) {
      std::get<SceneRect>(scene_.items[0]).box = {0, 0, scene_.width, scene_.height};
    }
  }

  const Figure& figure_;
  const FigureStyle& style_;
  const Outlet& outlet_;
  Scene scene_;
  TextMeter& meter_;
  Painter painter_;
  double font_;

  std::vector<TextLine> head_;
  double head_height_ = 0, depth_ = 0;  // depth_: of the ink below the last baseline
  const std::vector<PanelGroupPlan> plans_ = plan_groups(figure_);
  std::vector<std::unique_ptr<PanelGroup>> groups_;
  LegendPlan legend_;  // of all groups
  double legend_height_ = 0;
  std::size_t columns_ = 1;
  std::vector<double> rows_;
  std::vector<std::string> found_;  // notes that drawing came upon
};

}  // namespace

Scene lay_out(const Figure& figure, const FigureStyle& style, const Outlet& outlet,
              TextMeter* meter) {
  require(style.width_mm >= 40 && style.width_mm <= 2000, ExitCode::usage, {}, "figure width ",
          style.width_mm, " mm; expected 40 to 2000");
  require(style.font_pt >= 3 && style.font_pt <= 40, ExitCode::usage, {}, "figure font ",
          style.font_pt, " pt; expected 3 to 40");
  if (meter && meter->family() == style.font) {
    meter->forget_missing();
    return Layout(figure, style, outlet, *meter).run();
  }
  FileTextMeter own(style.font);
  return Layout(figure, style, outlet, own).run();
}

}  // namespace kappascope
