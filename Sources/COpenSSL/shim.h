// COpenSSL: libssl and libcrypto (OpenSSL 3.0), and the function-like macros of their headers that Swift cannot import.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static inline int copenssl_set_min_version(SSL_CTX *context, int version) {
  return (int)SSL_CTX_set_min_proto_version(context, version);
}

static inline void copenssl_forbid_renegotiation(SSL_CTX *context) { SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION); }

static inline void copenssl_forbid_resumption(SSL_CTX *context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
}

// Takes a reference of its own.
static inline int copenssl_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

// The server name that a client requests (SNI).
static inline int copenssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }

static inline void copenssl_set_owner(SSL *ssl, void *owner) { SSL_set_app_data(ssl, owner); }
static inline void *copenssl_owner(const SSL *ssl) { return SSL_get_app_data(ssl); }

// The connection that a verification belongs to.
static inline SSL *copenssl_connection(X509_STORE_CTX *context) {
  return (SSL *)X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
}

// Bytes in a memory BIO; `*data` points at them until the BIO changes.
static inline long copenssl_memory(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }

// Reading beyond the end of a memory BIO means end of file.
static inline void copenssl_end_memory(BIO *bio) { BIO_set_mem_eof_return(bio, 0); }

static inline int copenssl_print_name(BIO *bio, const X509_NAME *name) {
  return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
}

static inline int copenssl_error_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int copenssl_error_library(unsigned long code) { return ERR_GET_LIB(code); }

#endif
