#include "core/figure/render.h"

#include <cairo-pdf.h>
#include <cairo.h>
#include <librsvg/rsvg.h>

#include <cmath>
#include <map>
#include <memory>
#include <span>

#include "core/error.h"
#include "core/figure/layout.h"
#include "core/figure/png.h"
#include "core/figure/svg.h"
#include "core/trace/output_file.h"

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

// Pictures of cells go to cairo itself: librsvg (2.54) smooths them whatever image-rendering says.
void draw(const Scene& scene, cairo_surface_t* surface, double scale_x, double scale_y) {
  const Context context(cairo_create(surface));
  cairo_scale(context.get(), scale_x, scale_y);
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= scene.items.size(); ++i) {
    const auto* image = i < scene.items.size() ? std::get_if<SceneImage>(&scene.items[i]) : nullptr;
    if (!image && i < scene.items.size()) { continue; }
    if (begin < i) { draw_svg(to_svg(scene, begin, i), context.get(), scene); }
    if (image) { draw_picture(*image, context.get(), scene); }
    begin = i + 1;
  }
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
void sign(std::string& pdf) {
  const std::size_t end = pdf.rfind("startxref");
  if (end != std::string::npos) { pdf.insert(end, "% kappascope\n"); }
}

std::string provenance_text(const Scene& scene) {
  std::string text;
  for (const auto& [key, value] : scene.provenance) {
    if (!text.empty()) { text += "; "; }
    text.append(key).append(": ").append(value);
  }
  return text;
}

constexpr const char* kExtensions[] = {"svg", "pdf", "png", "csv"};

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  OutputFile file(path);
  file.write_at(0, std::as_bytes(std::span(bytes)));
  file.finish();
}

// Writes beside the final place and moves there.
template <typename Write>
void replace_file(const std::filesystem::path& path, Write&& write) {
  std::filesystem::path part = path;
  part += ".part";
  std::error_code error;
  std::filesystem::remove(part, error);
  write(part);
  std::filesystem::rename(part, path, error);
  require(!error, ExitCode::io, {path.string()}, "cannot be replaced: ", error.message());
}

}  // namespace

std::optional<FigureFormat> figure_format(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kExtensions); ++i) {
    if (name == kExtensions[i]) { return static_cast<FigureFormat>(i); }
  }
  return std::nullopt;
}

std::string render_svg(const Figure& figure, const FigureStyle& style, TextMeter* meter) {
  return to_svg(lay_out(figure, style, {}, meter));
}

std::string render_pdf(const Figure& figure, const FigureStyle& style, TextMeter* meter) {
  const Scene scene = lay_out(figure, style, {}, meter);
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
  sign(bytes);
  return bytes;
}

std::string render_png(const Figure& figure, const FigureStyle& style, TextMeter* meter) {
  const Scene scene = lay_out(figure, style, {.finest = style.dpi / 72}, meter);
  const double pixels_a_mm = style.dpi / 25.4;
  const double width = std::round(scene.width_mm * pixels_a_mm);
  const double height = std::round(scene.height_mm * pixels_a_mm);
  require(
      style.dpi >= 10 && width >= 1 && height >= 1 && width <= kMostPixels && height <= kMostPixels,
      ExitCode::usage, {}, "figure ", figure.id, ": ", width, " × ", height,
      " pixels; expected at most ", kMostPixels, " a side and at least 10 dpi");
  const Surface surface(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width),
                                                   static_cast<int>(height)));
  check(surface.get(), "PNG");
  draw(scene, surface.get(), width / scene.width, height / scene.height);
  cairo_surface_flush(surface.get());
  const unsigned char* data = cairo_image_surface_get_data(surface.get());
  const int stride = cairo_image_surface_get_stride(surface.get());
  const auto row = [&](std::int64_t y, std::span<std::uint8_t> line) {
    const auto* from = reinterpret_cast<const std::uint32_t*>(data + y * stride);  // 0x00RRGGBB
    for (std::size_t x = 0; x < line.size() / 3; ++x) {
      line[3 * x] = static_cast<std::uint8_t>(from[x] >> 16);
      line[3 * x + 1] = static_cast<std::uint8_t>(from[x] >> 8);
      line[3 * x + 2] = static_cast<std::uint8_t>(from[x]);
    }
  };
  std::vector<std::pair<std::string, std::string>> texts;
  if (style.metadata) {
    texts = {
        {"Title", scene.title}, {"Description", scene.description}, {"Software", "kappascope"}};
    texts.insert(texts.end(), scene.provenance.begin(), scene.provenance.end());
  }
  return rgb_png(static_cast<std::int64_t>(width), static_cast<std::int64_t>(height), style.dpi,
                 texts, row);
}

std::vector<std::filesystem::path> write_figure(const Figure& figure, const FigureStyle& style,
                                                const std::vector<FigureFormat>& formats,
                                                const std::filesystem::path& folder,
                                                TextMeter* meter) {
  std::vector<std::filesystem::path> written;
  for (const FigureFormat format : formats) {
    const std::string extension = std::string(".") + kExtensions[static_cast<int>(format)];
    const std::string stem = figure.name.empty() ? figure.id : figure.name;
    const auto behind = [](const std::string& run) { return run.empty() ? run : "-" + run; };
    if (format == FigureFormat::csv) {
      std::map<std::string, int> tables;  // of each run so far
      for (std::size_t i = 0; i < figure.tables.size(); ++i) {
        const Table& table = figure.tables[i];
        const std::string& run = table.run.empty() ? figure.run : table.run;
        const int number = ++tables[run];
        const std::string name = number == 1 ? stem : stem + "-" + std::to_string(number);
        written.push_back(folder / (name + behind(run) + extension));
        replace_file(written.back(), [&](const auto& part) { write_csv(figure.tables[i], part); });
      }
      continue;
    }
    const std::string bytes = format == FigureFormat::svg   ? render_svg(figure, style, meter)
                              : format == FigureFormat::pdf ? render_pdf(figure, style, meter)
                                                            : render_png(figure, style, meter);
    written.push_back(folder / (stem + behind(figure.run) + extension));
    replace_file(written.back(), [&](const auto& part) { write_bytes(part, bytes); });
  }
  return written;
}

}  // namespace kappascope
