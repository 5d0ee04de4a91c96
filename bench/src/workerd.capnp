# A worker that answers `hello world`, for `workerd serve`; the benchmark says where it listens.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(
      name = "worker",
      esModule = "export default { fetch() { return new Response('hello world') } }",
    )],
    compatibilityDate = "2025-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "main")],
);
