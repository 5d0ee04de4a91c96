const std = @import("std");

pub fn main(init: std.process.Init) !void {
    var buffer: [4096]u8 = undefined;
    var writer = std.Io.File.stdout().writerStreaming(init.io, &buffer);
    const out = &writer.interface;

    var name: []const u8 = "world";
    var pairs = std.mem.splitScalar(u8, init.environ_map.get("QUERY_STRING") orelse "", '&');
    while (pairs.next()) |pair| {
        if (std.mem.startsWith(u8, pair, "name=")) name = pair["name=".len..];
    }
    try out.print("Content-Type: text/plain; charset=utf-8\n\nhello {s}\n", .{name});
    try out.flush();
}
