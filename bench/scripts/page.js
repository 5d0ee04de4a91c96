const escape = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (items) => `<ul>${items.map((item) => `<li>${escape(item.name)}</li>`).join("")}</ul>`;
const all = Array.from({ length: 20 }, (_, i) => ({ name: `item <${i}>`, price: i * 1.5 }));

export default {
  fetch(request) {
    const items = all.slice(0, 10);
    return Response.json({ html: page(items), items, at: new Date().toISOString(), path: request.url });
  },
};
