#include "core/figure/svg.h"

#include <gtest/gtest.h>
#include <librsvg/rsvg.h>

#include "core/error.h"
#include "core/figure/layout.h"
#include "core/figure/render.h"
#include "figure_fixture.h"

namespace kappascope {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

bool parses(const std::string& svg) {
  RsvgHandle* handle =
      rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(svg.data()), svg.size(), nullptr);
  if (handle) { g_object_unref(handle); }
  return handle != nullptr;
}

// The names of all elements in order: the structure without the words.
std::string structure(const std::string& svg) {
  std::string names;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    names += svg.substr(at, svg.find_first_of(" >/", at + 2) - at) + " ";
  }
  return names;
}

TEST(Svg, HostileWordsCannotChangeTheStructure) {
  for (const std::string& word : hostile_words()) {
    const auto with = [&](const std::string& text) {
      Figure figure = mark_figure();
      figure.title = text;
      figure.subtitle = text;
      figure.notes = {text};
      figure.panels[0].title = text;
      figure.panels[0].x.name = text;
      figure.panels[0].lines[0].name = text;
      figure.panels[0].references[0].label = text;
      figure.provenance = {{"command", text}, {text, "value"}};
      return render_svg(figure, {});
    };
    const std::string svg = with(word);
    EXPECT_TRUE(parses(svg)) << word;
    // A word that draws nothing leaves its texts out, and wide ones may move a label.
    if (word.empty() || word == "\n\r\t") { continue; }
    EXPECT_EQ(count(svg, "<script"), 0u);
    EXPECT_EQ(count(svg, "</svg>"), 1u);
    EXPECT_EQ(count(svg, "<svg"), 1u);
    EXPECT_EQ(count(svg, "\u202E"), 0u);
    const auto entries = count(svg, "<kappascope:entry");
    EXPECT_EQ(entries, 2u);
  }
}

TEST(Svg, StructureIsThatOfAHarmlessName) {
  Figure harmless = cell_figure(3, 5, ColourKind::sequential);
  Figure hostile = harmless;
  harmless.title = "abcdefghijkl";
  hostile.title = "<x a='&'>]]>";
  EXPECT_EQ(structure(render_svg(harmless, {})), structure(render_svg(hostile, {})));
}

TEST(Svg, HoldsTitleAxesUnitsAndSourceAsText) {
  const std::string svg = render_svg(cell_figure(6, 12, ColourKind::diverging), {});
  for (const char* words :
       {"<title>Cells of a map</title>", ">Token</text>", ">Layer</text>", "(nats)</text>",
        "name=\"command\">plot &#39;&lt;a&amp;b&gt;&#39;</kappascope:entry>", "width=\"178mm\"",
        "DejaVu Sans"}) {
    EXPECT_NE(svg.find(words), std::string::npos) << words;
  }
}

TEST(Svg, NumbersHaveAFixedForm) {
  Scene scene;
  scene.width = scene.height = 10;
  scene.items.push_back(SceneRect{{-0.0001, 1.0 / 3, 1e-9, 2}, {1, 2, 3}});
  ScenePath path;
  path.points = {{1, 2}, {kNaN, 0}, {3, 4}, {5, 6}};
  scene.items.push_back(path);
  const std::string svg = to_svg(scene);
  EXPECT_NE(svg.find("<rect x=\"0\" y=\"0.333\" width=\"0\" height=\"2\" fill=\"#010203\"/>"),
            std::string::npos);
  EXPECT_NE(svg.find("d=\"M1 2M3 4L5 6\""), std::string::npos);
}

}  // namespace
}  // namespace kappascope
