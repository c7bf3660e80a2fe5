#include "core/figure/svg.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "core/checkpoint/tensor.h"
#include "core/error.h"
#include "core/figure/png.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

// Three decimals at most, no trailing zeros, never an exponent or "-0".
std::string number(double value) {
  if (!std::isfinite(value)) { value = 0; }
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 3).ptr;
  std::string result(text, end);
  result.erase(result.find_last_not_of('0') + 1);
  if (result.back() == '.') { result.pop_back(); }
  return result == "-0" ? "0" : result;
}

class Writer {
 public:
  // `page_prefix`: of ids inside an HTML page; "": a file of its own.
  explicit Writer(const Scene& scene, std::string page_prefix = "", std::string label = "")
      : scene_(scene), page_prefix_(std::move(page_prefix)), label_(std::move(label)) {}

  std::string run(std::size_t begin, std::size_t end) {
    grouped_ = begin == 0 && end == scene_.items.size();
    page_prefix_.empty() ? head() : head_in_page();
    clips();
    for (std::size_t i = begin; i < end; ++i) {
      std::visit([this](const auto& item) { put(item); }, scene_.items[i]);
    }
    out_ += "</svg>\n";
    return with_prefix();
  }

 private:
  // Stands for the prefix of ids until all else is known; no text holds it.
  static constexpr char kPrefix = '\x01';
  // A page is read from further away than paper: texts of 7 pt are small there.
  static constexpr double kOnScreen = 1.3;

  // Ids that no other figure has, so that several may be parts of one page.
  std::string with_prefix() const {
    const std::string prefix =
        page_prefix_.empty() ? "kappascope-" + sha256_hex(out_).substr(0, 8) + "-" : page_prefix_;
    std::string result;
    result.reserve(out_.size() + 64 * prefix.size());
    for (const char c : out_) {
      if (c == kPrefix) {
        result += prefix;
      } else {
        result += c;
      }
    }
    return result;
  }

  static std::string id(const std::string& name) { return kPrefix + name; }

  void attribute(const char* name, double value) {
    out_ += std::string(" ") + name + "=\"" + number(value) + "\"";
  }
  void attribute(const char* name, std::string_view value) {
    out_ += std::string(" ") + name + "=\"" + xml_escaped(value) + "\"";
  }
  void box(const Box& box) {
    attribute("x", box.x);
    attribute("y", box.y);
    attribute("width", box.width);
    attribute("height", box.height);
  }
  void clip(int index) {
    if (index >= 0) {
      attribute("clip-path", "url(#" + id("plot-" + std::to_string(index + 1)) + ")");
    }
  }

  void head() {
    out_ +=
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
        "xmlns:xlink=\"http://www.w3.org/1999/xlink\" version=\"1.1\" width=\"" +
        number(scene_.width_mm) + "mm\" height=\"" + number(scene_.height_mm) +
        "mm\" viewBox=\"0 0 " + number(scene_.width) + " " + number(scene_.height) +
        "\" font-family=\"" + font_families(scene_.font) + "\" xml:space=\"preserve\">\n";
    if (!scene_.title.empty()) { out_ += "<title>" + xml_escaped(scene_.title) + "</title>\n"; }
    if (!scene_.description.empty()) {
      out_ += "<desc>" + xml_escaped(scene_.description) + "</desc>\n";
    }
    if (!scene_.provenance.empty()) { metadata(); }
  }

  void head_in_page() {
    out_ += "<svg role=\"img\"";
    attribute("aria-label", plain_text(label_));
    out_ += " width=\"" + number(kOnScreen * scene_.width_mm) + "mm\" height=\"" +
            number(kOnScreen * scene_.height_mm) + "mm\" viewBox=\"0 0 " + number(scene_.width) +
            " " + number(scene_.height) + "\" font-family=\"" + font_families(scene_.font) +
            "\" xml:space=\"preserve\">\n";
  }

  void clips() {
    out_ += "<defs>\n";
    for (std::size_t i = 0; i < scene_.clips.size(); ++i) {
      out_ += "<clipPath";
      attribute("id", id("plot-" + std::to_string(i + 1)));
      out_ += "><rect";
      box(scene_.clips[i]);
      out_ += "/></clipPath>\n";
    }
    out_ += "</defs>\n";
  }

  void metadata() {
    out_ += "<metadata>\n";
    for (const auto& [key, value] : scene_.provenance) {
      out_ += "<kappascope:entry xmlns:kappascope=\"urn:kappascope\" name=\"" +
              xml_escaped(plain_text(key)) + "\">" + xml_escaped(value) + "</kappascope:entry>\n";
    }
    out_ += "</metadata>\n";
  }

  void put(const SceneGroup& group) {
    if (!grouped_) { return; }
    if (!group.opens) {
      out_ += "</g>\n";
      return;
    }
    out_ += "<g";
    attribute("id", id(group.id));
    attribute("class", group.kind);
    if (!group.label.empty()) { attribute("aria-label", group.label); }
    out_ += ">\n";
  }

  void put(const SceneRect& rect) {
    out_ += "<rect";
    box(rect.box);
    attribute("fill", hex(rect.fill));
    out_ += "/>\n";
  }

  void put(const ScenePath& path) {
    std::string data;
    bool pen_down = false;
    for (const Point& point : path.points) {
      const bool drawn = std::isfinite(point.x) && std::isfinite(point.y);
      if (drawn) { data += (pen_down ? "L" : "M") + number(point.x) + " " + number(point.y); }
      pen_down = drawn;
    }
    if (data.empty()) { return; }
    out_ += "<path d=\"" + data + (path.closed ? "Z\"" : "\"");
    attribute("fill", path.fill ? hex(*path.fill) : "none");
    if (path.stroke) {
      attribute("stroke", hex(*path.stroke));
      attribute("stroke-width", path.width);
      if (path.points.size() > 2) { attribute("stroke-linejoin", "round"); }
    }
    dashes(path);
    if (path.opacity < 1) { attribute("opacity", path.opacity); }
    clip(path.clip);
    out_ += "/>\n";
  }

  void dashes(const ScenePath& path) {
    std::string lengths;
    for (const double length : dash_pattern(path.dash)) {
      lengths += (lengths.empty() ? "" : " ") + number(length);
    }
    if (!lengths.empty()) { attribute("stroke-dasharray", lengths); }
  }

  void put(const SceneDots& dots) {
    out_ += "<g";
    if (dots.colours.size() == 1) { attribute("fill", hex(dots.colours[0])); }
    if (dots.opacity < 1) { attribute("fill-opacity", dots.opacity); }
    clip(dots.clip);
    out_ += ">\n";
    for (std::size_t i = 0; i < dots.points.size(); ++i) {
      out_ += "<circle";
      attribute("cx", dots.points[i].x);
      attribute("cy", dots.points[i].y);
      attribute("r", dots.radius);
      if (dots.colours.size() > 1) { attribute("fill", hex(dots.colours[i])); }
      out_ += "/>\n";
    }
    out_ += "</g>\n";
  }

  void put(const SceneImage& image) {
    out_ += "<g";
    clip(image.clip);
    out_ += "><image";
    box(image.box);
    out_ +=
        " preserveAspectRatio=\"none\" image-rendering=\"optimizeSpeed\" "
        "style=\"image-rendering:pixelated\" xlink:href=\"data:image/png;base64,";
    out_ += base64(image.png);
    out_ += "\"/></g>\n";
  }

  void put(const SceneCells&) {
    fail(ExitCode::internal, {}, "cells of a window are in a scene for a file");
  }

  void put(const SceneText& text) {
    static constexpr const char* kAnchors[] = {"start", "middle", "end"};
    out_ += "<text";
    attribute("x", text.at.x);
    attribute("y", text.at.y);
    attribute("font-size", text.look.size);
    if (text.look.bold) { attribute("font-weight", "bold"); }
    attribute("fill", hex(text.look.colour));
    if (text.look.anchor != Anchor::start) {
      attribute("text-anchor", kAnchors[static_cast<int>(text.look.anchor)]);
    }
    if (text.look.upright) {
      attribute("transform", "rotate(-90 " + number(text.at.x) + " " + number(text.at.y) + ")");
    }
    out_ += ">" + xml_escaped(text.text) + "</text>\n";
  }

  const Scene& scene_;
  std::string page_prefix_, label_;
  std::string out_;
  bool grouped_ = true;  // a part of a scene may hold half of a group
};

}  // namespace

std::string to_svg(const Scene& scene) {
  return to_svg(scene, 0, scene.items.size());
}

std::string to_svg(const Scene& scene, std::size_t begin, std::size_t end) {
  return Writer(scene).run(begin, end);
}

std::string to_page_svg(const Scene& scene, const std::string& prefix, const std::string& label) {
  return Writer(scene, prefix, label).run(0, scene.items.size());
}

}  // namespace kappascope
