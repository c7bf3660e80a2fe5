#include "core/figure/render.h"

#include <cairo-pdf.h>
#include <cairo-ps.h>
#include <cairo.h>
#include <librsvg/rsvg.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <span>

#include "core/error.h"
#include "core/figure/layout.h"
#include "core/figure/png.h"
#include "core/figure/svg.h"
#include "core/figure/theme.h"

namespace kappascope {
namespace {

constexpr const char* kNoDate = "1970-01-01T00:00:00Z";
constexpr double kMostPixels = 30000;  // a side of a PNG; cairo's own end is 32767

struct Free {
  void operator()(RsvgHandle* handle) const { g_object_unref(handle); }
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* cairo) const { cairo_destroy(cairo); }
};
using Drawing = std::unique_ptr<RsvgHandle, Free>;
using Surface = std::unique_ptr<cairo_surface_t, Free>;
using Context = std::unique_ptr<cairo_t, Free>;

void check(cairo_surface_t* surface, const char* what) {
  const cairo_status_t status = cairo_surface_status(surface);
  if (status == CAIRO_STATUS_NO_MEMORY) { fail(ExitCode::memory, {}, what, ": out of memory"); }
  require(status == CAIRO_STATUS_SUCCESS, ExitCode::internal, {}, what, ": ",
          cairo_status_to_string(status));
}

// Our own SVG, so that any refusal is our mistake.
void draw_svg(const std::string& svg, cairo_t* cairo, const Scene& scene) {
  GError* error = nullptr;
  const Drawing drawing(
      rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(svg.data()), svg.size(), &error));
  const RsvgRectangle page{0, 0, scene.width, scene.height};
  const bool drawn = drawing && rsvg_handle_render_document(drawing.get(), cairo, &page, &error);
  const std::string why = error ? error->message : "";
  if (error) { g_error_free(error); }
  require(drawn, ExitCode::internal, {}, "librsvg cannot draw the figure: ", why);
}

struct Source {
  std::string_view bytes;
};

cairo_status_t read_some(void* source, unsigned char* data, unsigned length) {
  auto& bytes = static_cast<Source*>(source)->bytes;
  if (bytes.size() < length) { return CAIRO_STATUS_READ_ERROR; }
  bytes.copy(reinterpret_cast<char*>(data), length);
  bytes.remove_prefix(length);
  return CAIRO_STATUS_SUCCESS;
}

void draw_picture(const SceneImage& image, cairo_t* cairo, const Scene& scene) {
  Source source{image.png};
  const Surface picture(cairo_image_surface_create_from_png_stream(read_some, &source));
  check(picture.get(), "picture of cells");
  cairo_save(cairo);
  if (image.clip >= 0) {
    const Box& clip = scene.clips[image.clip];
    cairo_rectangle(cairo, clip.x, clip.y, clip.width, clip.height);
    cairo_clip(cairo);
  }
  cairo_translate(cairo, image.box.x, image.box.y);
  cairo_scale(cairo, image.box.width / cairo_image_surface_get_width(picture.get()),
              image.box.height / cairo_image_surface_get_height(picture.get()));
  cairo_set_source_surface(cairo, picture.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(cairo), CAIRO_FILTER_NEAREST);
  cairo_paint(cairo);
  cairo_restore(cairo);
}

// With letters of the font itself; false where it lacks one, and nothing is drawn.
bool draw_text(const SceneText& text, cairo_t* cairo, const std::string& family) {
  const TextLook& look = text.look;
  cairo_select_font_face(cairo, family.empty() ? kUsualFont : family.c_str(),
                         CAIRO_FONT_SLANT_NORMAL,
                         look.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo, look.size);
  cairo_glyph_t* glyphs = nullptr;
  int count = 0;
  const cairo_status_t status = cairo_scaled_font_text_to_glyphs(
      cairo_get_scaled_font(cairo), 0, 0, text.text.data(), static_cast<int>(text.text.size()),
      &glyphs, &count, nullptr, nullptr, nullptr);
  const bool all = status == CAIRO_STATUS_SUCCESS &&
                   std::none_of(glyphs, glyphs + count, [](const auto& g) { return g.index == 0; });
  cairo_glyph_free(glyphs);
  if (!all) { return false; }
  cairo_text_extents_t extents;
  cairo_text_extents(cairo, text.text.c_str(), &extents);
  // Kerning makes the text that was measured a little shorter: its ink has to end where that ends.
  const double length = look.upright ? text.bounds.height : text.bounds.width;
  const double stretch = extents.width > 0 && length > 0 ? length / extents.width : 1;
  const double share = look.anchor == Anchor::start ? 0 : look.anchor == Anchor::middle ? 0.5 : 1;
  cairo_save(cairo);
  cairo_translate(cairo, text.at.x, text.at.y);
  if (look.upright) { cairo_rotate(cairo, -std::numbers::pi / 2); }
  cairo_scale(cairo, stretch, 1);
  cairo_set_source_rgb(cairo, look.colour.red / 255.0, look.colour.green / 255.0,
                       look.colour.blue / 255.0);
  cairo_move_to(cairo, -share * extents.x_advance, 0);
  cairo_show_text(cairo, text.text.c_str());
  cairo_restore(cairo);
  return true;
}

// Pictures of cells go to cairo itself: librsvg (2.54) smooths them whatever image-rendering says.
// So do texts where `texts` is true: for PostScript librsvg draws outlines.
void draw(const Scene& scene, cairo_surface_t* surface, double scale_x, double scale_y,
          bool texts = false) {
  const Context context(cairo_create(surface));
  cairo_scale(context.get(), scale_x, scale_y);
  std::size_t begin = 0;
  const auto flush = [&](std::size_t end) {
    if (begin < end) { draw_svg(to_svg(scene, begin, end), context.get(), scene); }
    begin = end;
  };
  for (std::size_t i = 0; i < scene.items.size(); ++i) {
    if (const auto* image = std::get_if<SceneImage>(&scene.items[i])) {
      flush(i);
      draw_picture(*image, context.get(), scene);
      begin = i + 1;
    } else if (const auto* text = std::get_if<SceneText>(&scene.items[i]); text && texts) {
      flush(i);
      if (draw_text(*text, context.get(), scene.font)) { begin = i + 1; }
    }
  }
  flush(scene.items.size());
}

cairo_status_t append(void* out, const unsigned char* data, unsigned length) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(data), length);
  return CAIRO_STATUS_SUCCESS;
}

// pdfTeX warns of every page group that it includes after the first, and nothing here needs one:
// blanks take its place, so that every offset holds.
void drop_page_groups(std::string& pdf) {
  constexpr std::string_view kPage = "<< /Type /Page ", kGroup = "/Group <<", kEnd = ">>";
  for (std::size_t page = pdf.find(kPage); page != std::string::npos;
       page = pdf.find(kPage, page + 1)) {
    const std::size_t group = pdf.find(kGroup, page), end = pdf.find("endobj", page);
    if (group == std::string::npos || group > end) { continue; }
    const std::size_t past = pdf.find(kEnd, group) + kEnd.size();
    pdf.replace(group, past - group, std::string(past - group, ' '));
  }
}

// A comment behind all that has an offset: who may replace the file.
void sign(std::string& file, std::string_view end_mark) {
  const std::size_t end = file.rfind(end_mark);
  if (end != std::string::npos) { file.insert(end, "% kappascope\n"); }
}

// cairo (1.16) writes the time of day.
void drop_date(std::string& eps) {
  const std::size_t date = eps.find("%%CreationDate:");
  if (date != std::string::npos) { eps.erase(date, eps.find('\n', date) + 1 - date); }
}

std::string provenance_text(const Scene& scene) {
  std::string text;
  for (const auto& [key, value] : scene.provenance) {
    if (!text.empty()) { text += "; "; }
    text.append(key).append(": ").append(value);
  }
  return text;
}

constexpr const char* kExtensions[] = {"svg", "pdf", "eps", "png", "csv"};

}  // namespace

const char* figure_extension(FigureFormat format) {
  return kExtensions[static_cast<int>(format)];
}

std::optional<FigureFormat> figure_format(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kExtensions); ++i) {
    if (name == kExtensions[i]) { return static_cast<FigureFormat>(i); }
  }
  return std::nullopt;
}

namespace {

std::string pdf_of(const Scene& scene, const FigureStyle& style) {
  std::string bytes;
  {
    const Surface surface(
        cairo_pdf_surface_create_for_stream(append, &bytes, scene.width, scene.height));
    check(surface.get(), "PDF");
    const auto set = [&](cairo_pdf_metadata_t key, const std::string& value) {
      cairo_pdf_surface_set_metadata(surface.get(), key, value.c_str());
    };
    cairo_pdf_surface_restrict_to_version(surface.get(), CAIRO_PDF_VERSION_1_4);
    if (style.metadata) {
      set(CAIRO_PDF_METADATA_TITLE, scene.title);
      set(CAIRO_PDF_METADATA_SUBJECT, scene.description);
      set(CAIRO_PDF_METADATA_KEYWORDS, provenance_text(scene));
      set(CAIRO_PDF_METADATA_CREATOR, "kappascope");
    }
    set(CAIRO_PDF_METADATA_CREATE_DATE, kNoDate);
    set(CAIRO_PDF_METADATA_MOD_DATE, kNoDate);
    draw(scene, surface.get(), 1, 1);
    cairo_surface_finish(surface.get());
    check(surface.get(), "PDF");
  }
  drop_page_groups(bytes);
  sign(bytes, "startxref");
  return bytes;
}

// One page that other documents take in. PostScript knows no opacity: cairo would make pictures of
// what has one.
std::string eps_of(const Scene& scene) {
  std::string bytes;
  {
    const Surface surface(
        cairo_ps_surface_create_for_stream(append, &bytes, scene.width, scene.height));
    check(surface.get(), "EPS");
    cairo_ps_surface_set_eps(surface.get(), 1);
    draw(scene, surface.get(), 1, 1, true);
    cairo_surface_finish(surface.get());
    check(surface.get(), "EPS");
  }
  drop_date(bytes);
  sign(bytes, "%%EOF");
  return bytes;
}

// A row of cairo's pixels, 0xAARRGGBB with colours times opacity, as a PNG has them.
void take_row(const unsigned char* data, std::span<std::uint8_t> line, std::size_t channels) {
  const auto* from = reinterpret_cast<const std::uint32_t*>(data);
  for (std::size_t x = 0; x < line.size() / channels; ++x) {
    const std::uint32_t opacity = channels == 4 ? from[x] >> 24 : 255;
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t value = from[x] >> (16 - 8 * c) & 255;
      line[channels * x + c] =
          static_cast<std::uint8_t>(opacity == 0 ? 0 : (value * 255 + opacity / 2) / opacity);
    }
    if (channels == 4) { line[channels * x + 3] = static_cast<std::uint8_t>(opacity); }
  }
}

std::string png_of(const Scene& scene, const FigureStyle& style, const std::string& id) {
  const double pixels_a_mm = style.dpi / 25.4;
  const double width = std::round(scene.width_mm * pixels_a_mm);
  const double height = std::round(scene.height_mm * pixels_a_mm);
  require(
      style.dpi >= 10 && width >= 1 && height >= 1 && width <= kMostPixels && height <= kMostPixels,
      ExitCode::usage, {}, "figure ", id, ": ", width, " × ", height, " pixels; expected at most ",
      kMostPixels, " a side and at least 10 dpi");
  const Surface surface(
      cairo_image_surface_create(style.transparent ? CAIRO_FORMAT_ARGB32 : CAIRO_FORMAT_RGB24,
                                 static_cast<int>(width), static_cast<int>(height)));
  check(surface.get(), "PNG");
  draw(scene, surface.get(), width / scene.width, height / scene.height);
  cairo_surface_flush(surface.get());
  const unsigned char* data = cairo_image_surface_get_data(surface.get());
  const int stride = cairo_image_surface_get_stride(surface.get());
  const auto row = [&](std::int64_t y, std::span<std::uint8_t> line) {
    take_row(data + y * stride, line, style.transparent ? 4 : 3);
  };
  std::vector<std::pair<std::string, std::string>> texts;
  if (style.metadata) {
    texts = {
        {"Title", scene.title}, {"Description", scene.description}, {"Software", "kappascope"}};
    texts.insert(texts.end(), scene.provenance.begin(), scene.provenance.end());
  }
  return rgb_png(static_cast<std::int64_t>(width), static_cast<std::int64_t>(height), style.dpi,
                 texts, row, style.transparent);
}

}  // namespace

Scene draw_figure(const Figure& figure, const FigureStyle& style, FigureFormat format,
                  TextMeter* meter) {
  const Outlet outlet{.finest = format == FigureFormat::png ? style.dpi / 72 : 0};
  Scene scene = lay_out(figure, style, outlet, meter);
  if (format == FigureFormat::eps) { make_opaque(scene); }
  apply_theme(scene, style.theme);
  return scene;
}

std::string picture_bytes(const Scene& scene, const FigureStyle& style, FigureFormat format,
                          const std::string& id) {
  switch (format) {
    case FigureFormat::svg:
      return to_svg(scene);
    case FigureFormat::pdf:
      return pdf_of(scene, style);
    case FigureFormat::eps:
      return eps_of(scene);
    case FigureFormat::png:
      return png_of(scene, style, id);
    case FigureFormat::csv:
      break;
  }
  fail(ExitCode::internal, {}, "figure ", id, ": no picture has this format");
}

namespace {

std::string render(const Figure& figure, const FigureStyle& style, FigureFormat format,
                   TextMeter* meter) {
  return picture_bytes(draw_figure(figure, style, format, meter), style, format, figure.id);
}

}  // namespace

std::string render_svg(const Figure& figure, const FigureStyle& style, TextMeter* meter) {
  return render(figure, style, FigureFormat::svg, meter);
}

std::string render_pdf(const Figure& figure, const FigureStyle& style, TextMeter* meter) {
  return render(figure, style, FigureFormat::pdf, meter);
}

std::string render_png(const Figure& figure, const FigureStyle& style, TextMeter* meter) {
  return render(figure, style, FigureFormat::png, meter);
}

}  // namespace kappascope
