#include "core/report/page.h"

#include <map>
#include <set>

#include "core/figure/svg.h"
#include "core/figure/text.h"
#include "core/report/html.h"
#include "core/report/page_look.h"
#include "core/report/tables.h"

namespace kappascope {
namespace {

std::string element(const std::string& name, std::string_view text) {
  return "<" + name + ">" + html_escaped(text) + "</" + name + ">";
}

class Page {
 public:
  explicit Page(const ReportDocument& document) : document_(document) {
    for (const GlossaryEntry& entry : document.glossary) {
      const std::string id = new_id("metric-" + id_word(entry.names.at(0)));
      for (const std::string& name : entry.names) { places_[name] = {id, entry.brief}; }
    }
    for (const ReportPart& part : document.parts) {
      part_ids_.push_back(new_id("part-" + id_word(part.title)));
    }
  }

  std::string run() {
    head();
    contents();
    out_ += "<main id=\"main\">\n";
    for (std::size_t i = 0; i < document_.parts.size(); ++i) {
      this->part(document_.parts[i], part_ids_[i]);
    }
    glossary();
    out_ += "</main>\n<footer>" +
            element("p", "Made by " + document_.generator +
                             ". Nothing on this page comes from elsewhere.") +
            "</footer>\n<script>" + std::string(kPageScript) + "</script>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  // Ids of names that differ in other characters only would be one.
  std::string new_id(const std::string& wanted) {
    std::string id = wanted;
    for (int i = 2; !ids_.insert(id).second; ++i) { id = wanted + "-" + std::to_string(i); }
    return id;
  }

  // "kappa.mean" is explained with "kappa".
  GlossaryPlace place(const std::string& name) const {
    auto found = places_.find(name);
    if (found == places_.end()) { found = places_.find(name.substr(0, name.find('.'))); }
    return found == places_.end() ? GlossaryPlace() : found->second;
  }

  FindPlace find() const {
    return [this](const std::string& name) { return place(name); };
  }

  void head() {
    out_ +=
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; script-src " +
        script_source(kPageScript) +
        "; img-src data:; base-uri 'none'; form-action 'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<meta name=\"referrer\" content=\"no-referrer\">\n"
        "<meta name=\"generator\" content=\"" +
        html_escaped(document_.generator) + "\">\n" + element("title", document_.title) +
        "\n<style>" + std::string(kPageStyle) + "</style>\n</head>\n<body>\n" +
        "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>" +
        element("h1", document_.title) + "<p class=\"lead\">" + html_escaped(document_.lead) +
        "</p></header>\n";
  }

  void contents() {
    out_ += "<nav aria-label=\"Contents\"><ul>\n";
    for (std::size_t i = 0; i < document_.parts.size(); ++i) {
      if (document_.parts[i].level > 2) { continue; }
      out_ += "<li><a href=\"#" + part_ids_[i] + "\">" + html_escaped(document_.parts[i].title) +
              "</a></li>\n";
    }
    if (!document_.glossary.empty()) { out_ += "<li><a href=\"#glossary\">Glossary</a></li>\n"; }
    out_ += "</ul></nav>\n";
  }

  void part(const ReportPart& part, const std::string& id) {
    const std::string name = part.level > 2 ? "h3" : "h2";
    out_ += "<" + name + " id=\"" + id + "\">" + html_escaped(part.title) + "</" + name + ">\n";
    for (const std::string& text : part.text) { out_ += element("p", text) + "\n"; }
    numbers(part.numbers);
    facts(part.facts);
    for (const ReportTable& table : part.tables) { out_ += table_html(table, find()); }
    for (const ReportFigure& one : part.figures) { figure(one, part.level > 2 ? "h4" : "h3"); }
    if (part.absent.empty()) { return; }
    out_ += element("p", "Figures that are not here, and why:") + "\n";
    facts(part.absent);
  }

  void numbers(const std::vector<ReportNumber>& numbers) {
    if (numbers.empty()) { return; }
    out_ += "<dl class=\"numbers\">\n";
    for (const ReportNumber& number : numbers) {
      const GlossaryPlace at = place(number.metric);
      const std::string name = html_escaped(number.name);
      out_ += "<div><dt>";
      out_ += at.id.empty() ? name
                            : "<a href=\"#" + at.id + "\" title=\"" + html_escaped(at.brief) +
                                  "\">" + name + "</a>";
      out_ += "</dt><dd>" + html_escaped(number.value);
      if (!number.unit.empty()) {
        out_ += " <span class=\"unit\">" + html_escaped(number.unit) + "</span>";
      }
      out_ += "</dd></div>\n";
    }
    out_ += "</dl>\n";
  }

  void facts(const std::vector<ReportFact>& facts) {
    if (facts.empty()) { return; }
    out_ += "<dl class=\"facts\">\n";
    for (const ReportFact& fact : facts) {
      out_ += element("dt", fact.name) + "<dd" + (fact.code ? " class=\"code\">" : ">") +
              html_escaped(fact.value) + "</dd>\n";
    }
    out_ += "</dl>\n";
  }

  void figure(const ReportFigure& figure, const std::string& heading) {
    const std::string prefix = "figure-" + std::to_string(++figures_) + "-";
    out_ += "<div class=\"figure\"><" + heading + " id=\"" + new_id("of-" + id_word(figure.id)) +
            "\">" + html_escaped(figure.title) + "</" + heading + ">\n<figure>\n" +
            to_page_svg(figure.scene, prefix, figure.title) + "<figcaption>\n";
    for (const std::string& line : figure.caption) { out_ += element("p", line) + "\n"; }
    if (!place(figure.metric).id.empty()) {
      out_ += "<p>Explained in the glossary: " + metric_link(figure.metric, find()) + "</p>\n";
    }
    out_ += "</figcaption>\n</figure></div>\n";
    for (const ReportTable& table : figure.tables) { out_ += table_html(table, find()); }
  }

  void glossary() {
    if (document_.glossary.empty()) { return; }
    out_ += "<h2 id=\"glossary\">Glossary</h2>\n<dl class=\"glossary\">\n";
    for (const GlossaryEntry& entry : document_.glossary) {
      std::string names;
      for (const std::string& name : entry.names) { names += (names.empty() ? "" : ", ") + name; }
      out_ += "<dt id=\"" + places_.at(entry.names[0]).id + "\">" + html_escaped(names) +
              "</dt>\n<dd>" + blocks(entry) + "</dd>\n";
    }
    out_ += "</dl>\n";
  }

  static std::string blocks(const GlossaryEntry& entry) {
    std::string html;
    bool list = false;
    for (const GlossaryBlock& block : entry.blocks) {
      if (block.item != list) { html += block.item ? "<ul>" : "</ul>"; }
      list = block.item;
      html += list ? "<li>" : "<p>";
      for (const GlossaryWords& words : block.words) {
        static constexpr const char* kElements[] = {"", "strong", "em", "code"};
        const char* name = kElements[static_cast<int>(words.face)];
        html += *name ? element(name, words.text) : html_escaped(words.text);
      }
      html += list ? "</li>" : "</p>";
    }
    return html + (list ? "</ul>" : "");
  }

  const ReportDocument& document_;
  std::string out_;
  // Those of pictures begin with "figure-N-"; no part, metric or heading does.
  std::set<std::string> ids_ = {"main", "glossary"};
  std::map<std::string, GlossaryPlace> places_;
  std::vector<std::string> part_ids_;
  int figures_ = 0;
};

}  // namespace

std::string to_html(const ReportDocument& document) {
  return Page(document).run();
}

}  // namespace kappascope
