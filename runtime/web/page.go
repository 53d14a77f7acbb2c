package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets
var assets embed.FS

// policy lets the page load its own files and nothing else, from nowhere else;
// no inline script, no inline style, no frame around it, and no markup from
// text at all (trusted types without a policy).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// contentTypes of the embedded files, by extension.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// page serves the dashboard. It holds no data, so it asks for no token.
func (s *server) page(mux *http.ServeMux) {
	files, err := fs.ReadDir(assets, "assets")
	if err != nil {
		panic("web: the embedded page is missing") // a broken build
	}
	for _, file := range files {
		data, err := assets.ReadFile("assets/" + file.Name())
		if err != nil {
			panic("web: embedded file " + file.Name() + " is missing") // a broken build
		}
		address := "/" + file.Name()
		if address == "/index.html" {
			address = "/{$}"
		}
		mux.Handle("GET "+address, asset(data, contentTypes[path.Ext(file.Name())]))
	}
}

func asset(data []byte, kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(data) // the peer is gone: nobody is left to tell
	})
}
