// Any texts in a scene: the SVG is XML for GLib's own parser, its elements are those of a scene of
// harmless texts, and the texts in it are those that were given.
#include <fuzzer/FuzzedDataProvider.h>
#include <glib.h>

#include <cstdlib>

#include "core/figure/svg.h"
#include "tests/fuzz/targets.h"

namespace {

using namespace kappascope;

struct Read {
  std::string elements;            // names in order
  std::vector<std::string> texts;  // of elements with one, and of the attributes that hold ours
  std::string text;
};

Read read_svg(const std::string& svg) {
  GMarkupParser parser{};
  parser.start_element = [](GMarkupParseContext*, const gchar* name, const gchar** names,
                            const gchar** values, gpointer out, GError**) {
    Read& found = *static_cast<Read*>(out);
    found.elements += std::string(name) + " ";
    found.text.clear();
    for (std::size_t i = 0; names[i] != nullptr; ++i) {
      const std::string_view attribute = names[i];
      if (attribute == "aria-label" || attribute == "name") { found.texts.push_back(values[i]); }
    }
  };
  parser.text = [](GMarkupParseContext*, const gchar* text, gsize size, gpointer out, GError**) {
    static_cast<Read*>(out)->text.append(text, size);
  };
  parser.end_element = [](GMarkupParseContext*, const gchar* name, gpointer out, GError**) {
    Read& found = *static_cast<Read*>(out);
    const std::string_view element = name;
    if (element == "title" || element == "desc" || element == "text" ||
        element == "kappascope:entry") {
      found.texts.push_back(found.text);
    }
    found.text.clear();
  };
  Read found;
  GMarkupParseContext* context =
      g_markup_parse_context_new(&parser, GMarkupParseFlags(0), &found, nullptr);
  const bool sound =
      g_markup_parse_context_parse(context, svg.data(), gssize(svg.size()), nullptr) &&
      g_markup_parse_context_end_parse(context, nullptr);
  g_markup_parse_context_free(context);
  if (!sound) { std::abort(); }
  return found;
}

// Texts in the order of the file: title, description, key and value, label, text.
Scene scene_of(const std::vector<std::string>& words) {
  Scene scene{.width = 10, .height = 10, .width_mm = 3, .height_mm = 3};
  scene.title = words[0];
  scene.description = words[1];
  scene.provenance = {{words[2], words[3]}};
  scene.items = {SceneGroup{.opens = true, .id = "panel-1", .kind = "panel", .label = words[4]},
                 SceneText{.text = words[5], .at = {1, 2}}, SceneGroup{}};
  return scene;
}

}  // namespace

void kappascope::testing::fuzz_svg(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  std::vector<std::string> words;
  for (int i = 0; i < 6; ++i) {
    words.push_back(plain_text(data.ConsumeRandomLengthString(64)));
    if (words.back().empty()) { words.back() = "word"; }
  }
  const Read found = read_svg(to_svg(scene_of(words)));
  static const std::string kElements = read_svg(to_svg(scene_of({6, "word"}))).elements;
  if (found.elements != kElements || found.texts != words) { std::abort(); }
  const std::string in_page = to_page_svg(scene_of(words), "a-", words[0]);
  if (read_svg(in_page).texts.front() != words[0]) { std::abort(); }
}
