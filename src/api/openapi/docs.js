// Draws /openapi.json and sends requests to try it. Text goes into the page as text only, never as markup.
"use strict";

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function resolved(schema, all, depth = 0) {
  if (!schema || depth > 4) return schema;
  if (schema.$ref) return resolved(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.type === "array") return { ...schema, items: resolved(schema.items, all, depth + 1) };
  if (schema.properties) {
    const fields = Object.entries(schema.properties).map(([name, one]) => [name, resolved(one, all, depth + 1)]);
    return { ...schema, properties: Object.fromEntries(fields) };
  }
  return schema;
}

function field(parameter) {
  const label = element("label", parameter.name + (parameter.required ? " *" : "") + " ");
  const input = element("input");
  const example = parameter.example;
  input.placeholder = Array.isArray(example) ? example.join(" ") : String(example ?? "");
  if (parameter.required) input.value = input.placeholder;
  label.append(input, element("small", " " + (parameter.description || "")));
  return { label, input, parameter };
}

function address(path, fields) {
  const query = new URLSearchParams();
  for (const { input, parameter } of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.append(parameter.name, input.value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function send(method, url, body, out) {
  const headers = {};
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  out.textContent = `${method.toUpperCase()} ${url} ...`;
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body || undefined });
    let text = await answer.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* Not every answer is JSON. */ }
    out.textContent = `${method.toUpperCase()} ${url}\n${answer.status} ${answer.statusText}\n\n${text.slice(0, 200000)}`;
  } catch (error) {
    out.textContent = `${method.toUpperCase()} ${url}\n${error}`;
  }
}

function draw(path, method, one, all) {
  const box = element("details");
  const summary = element("summary");
  summary.append(element("span", method, "method"), element("span", path, "path"), element("span", one.summary, "says"));
  box.append(summary);
  box.addEventListener("toggle", () => {
    if (!box.open || box.childElementCount > 1) return;
    const fields = (one.parameters || []).map(field);
    fields.forEach(({ label }) => box.append(label));
    const content = one.requestBody?.content?.["application/json"];
    const body = content ? element("textarea") : null;
    if (body) {
      body.value = JSON.stringify(content.example ?? {}, null, 2);
      box.append(element("p", "Body"), body, element("pre", JSON.stringify(resolved(content.schema, all), null, 2)));
    }
    const button = element("button", "Send");
    const out = element("pre", "");
    button.addEventListener("click", () => send(method, address(path, fields), body?.value, out));
    box.append(button, out, element("p", "Answers"));
    for (const [status, answer] of Object.entries(one.responses)) {
      const schema = Object.values(answer.content || {})[0]?.schema;
      const shape = status < "300" && schema ? "\n" + JSON.stringify(resolved(schema, all), null, 2) : "";
      box.append(element("pre", `${status} ${answer.description}${shape}`));
    }
  });
  return box;
}

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  const main = document.getElementById("operations");
  main.textContent = "";
  const headings = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, one] of Object.entries(methods)) {
      const tag = one.tags[0];
      if (!headings.has(tag)) {
        const section = element("section");
        section.append(element("h2", tag));
        headings.set(tag, section);
        main.append(section);
      }
      headings.get(tag).append(draw(path, method, one, api.components.schemas));
    }
  }
  document.getElementById("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase();
    for (const box of main.querySelectorAll("details")) {
      box.hidden = !box.firstChild.textContent.toLowerCase().includes(words);
    }
  });
}

start().catch((error) => { document.getElementById("operations").textContent = `No document: ${error}`; });
